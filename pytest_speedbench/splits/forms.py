"""Which column of a file is which of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pytest_speedbench.errors import SplitError, closest
from pytest_speedbench.splits.unaskable import unaskable_names

Row = Mapping[str, object]
"""A row as a file has it: a value, or its undecoded JSON (``msgspec.Raw``), for each column."""

TEXT_COLUMNS = ("turns", "messages", "conversations", "prompt", "text")
MESSAGE_COLUMNS = ("messages", "conversations")
LABEL_COLUMNS = ("question_id", "category", "sub_category", "source", "src_id", "difficulty", "system")
COLUMNS = (*LABEL_COLUMNS, *TEXT_COLUMNS)
"""The columns with a meaning. SPEED-Bench's ``multiturn`` has none: the turns say it."""

NUMBERED_TURNS = "turn_1"
_NUMBERED = re.compile(r"turn_([1-9][0-9]{0,3})")
_SHOWN = 20
_SHOWN_CHARACTERS = 40
_COMPARED = 1000


class Place(NamedTuple):
    """Where something is, for messages."""

    file: str
    unit: str = ""
    number: int = 0

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}" if self.unit else self.file


@dataclass(frozen=True, slots=True)
class Form:
    """The columns that a row has.

    Attributes:
        theirs: what the file calls each of our columns that it has, without those of the text.
        text: our name of the column with the text, or ``turn_1`` for numbered ones.
        text_columns: what the file calls it; several for numbered ones.
        mapped: whether the user named that column.
        unaskable: what the file calls the columns that must have no value, because no prompt of text could hold it.
    """

    theirs: Mapping[str, str]
    text: str
    text_columns: tuple[str, ...]
    mapped: bool
    unaskable: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The file's columns that are read."""
        return tuple(dict.fromkeys((*self.theirs.values(), *self.text_columns, *self.unaskable)))

    @property
    def holds_messages(self) -> bool:
        """Whether the column with the text has conversations of several roles."""
        return self.text in MESSAGE_COLUMNS

    @property
    def kind(self) -> tuple[str, bool, bool]:
        """What may not differ between the rows of a split: another kind gives the text another meaning."""
        return self.text, "question_id" in self.theirs, "category" in self.theirs

    def describe(self) -> str:
        """Words for its kind."""
        ids, categories = ("with" if present else "without" for present in self.kind[1:])
        return f"{self.text} {ids} question_id and {categories} category"


def check_mapping(columns: Mapping[str, str]) -> None:
    """Refuse a mapping that names no column of ours.

    Raises:
        SplitError: it names another one.
    """
    for ours in columns:
        if ours not in COLUMNS:
            raise SplitError(
                f"There is no column {ours!r} to be read from another one.",
                f"{closest(ours, COLUMNS)}There are: {', '.join(COLUMNS)}.",
            )


def form_of(names: Sequence[str], columns: Mapping[str, str], place: Place) -> Form:
    """Find our columns among a file's.

    Args:
        names: the file's columns.
        columns: our name → the file's, for those that the file calls otherwise.
        place: for messages.

    Raises:
        SplitError: a column of the mapping is not there; none has the text, or several have.
    """
    for ours, theirs in columns.items():
        if theirs not in names:
            raise SplitError(
                f"{place}: there is no column {theirs!r}, from which {ours} is to be read.",
                f"{closest(theirs, names[:_COMPARED])}{there_are(names)}",
            )
    labels = {name: columns.get(name, name) for name in LABEL_COLUMNS if columns.get(name, name) in names}
    mapped = [name for name in TEXT_COLUMNS if name in columns]
    found = mapped or [name for name in TEXT_COLUMNS if name in names]
    numbered = () if mapped else _numbered_turns(names, place)
    if numbered:
        found.append(NUMBERED_TURNS)
    if not found:
        raise SplitError(
            f"{place}: no column has the prompt. {there_are(names)}",
            "A row needs turns (a list of texts), messages (a conversation), or prompt or text (one text); "
            'a column of another name is given as columns = { turns = "its name" }.',
        )
    if len(found) > 1:
        raise SplitError(
            f"{place}: the prompt could be in {' or in '.join(found)}.",
            f'Say in which: columns = {{ {found[0]} = "{columns.get(found[0], found[0])}" }}.',
        )
    text = found[0]
    form = Form(labels, text, numbered or (columns.get(text, text),), mapped=bool(mapped))
    return replace(form, unaskable=unaskable_names(name for name in names if name not in form.names))


def there_are(names: Iterable[str]) -> str:
    """``It has: a, b, c.``, cut where it gets long."""
    known = tuple(names)
    return f"It has: {shown_names(known)}." if known else "It has no columns."


def shown_names(names: Sequence[str]) -> str:
    """``a, b, c``, cut where it gets long."""
    known = [name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "…" for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(repr(name) if _odd(name) else name for name in known)}{more}"


def repeated(names: Iterable[str]) -> str | None:
    """The first name that is there for a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _odd(name: str) -> bool:
    return not name.isprintable() or not name or name != name.strip() or "," in name


def _numbered_turns(names: Iterable[str], place: Place) -> tuple[str, ...]:
    numbers = sorted(int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name)))
    if numbers and numbers != list(range(1, len(numbers) + 1)):
        raise SplitError(
            f"{place}: the columns of the turns are numbered {', '.join(map(str, numbers[:_SHOWN]))}.",
            "Number them turn_1, turn_2, … without a gap.",
        )
    return tuple(f"turn_{number}" for number in numbers)
