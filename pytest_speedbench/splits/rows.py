"""What rows mean, the same for every file format: checks, conversations, placeholders, ids."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.forms import Form, Place, Row, check_mapping, form_of
from pytest_speedbench.splits.schema import Prompt
from pytest_speedbench.splits.texts import compact
from pytest_speedbench.splits.unaskable import check_askable
from pytest_speedbench.splits.unread import Unread
from pytest_speedbench.splits.values import Conversation, conversation_of, label_of, name_of

ONLY_CATEGORY = "all"
"""The category of every prompt of a file without categories."""
RESERVED_CATEGORY = "overall"

MAX_ROWS = 1_000_000
MAX_ROW_BYTES = 64 * 2**20
"""Of the text of a row, in memory."""
MAX_TEXT_BYTES = 2 * 2**30
"""Of the text of all rows, in memory: 10 times that of SPEED-Bench's largest config."""

_SHOWN_IDS = 3
_MADE_UP_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Reading:
    """What files gave.

    Attributes:
        prompts: in the order of the files and of their rows, at least one.
        notes: what was left out or made up, one sentence each.
        sha256: ``content_hash`` of the prompts.
    """

    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...]
    sha256: str


def content_hash(prompts: Sequence[Prompt]) -> str:
    """Hash of what can change an answer or its place in the tables, in order.

    That is the ids, categories, turns, and the system messages of prompts that have one.
    """
    digest = hashlib.sha256()
    for prompt in prompts:
        row: list[object] = [prompt.question_id, prompt.category, prompt.sub_category, list(prompt.turns)]
        if prompt.system:
            row.append(prompt.system)
        digest.update(json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


class Rows:
    """Collects rows from files of any format, and checks them one by one.

    Args:
        where: all the files, for messages.
        columns: our name → the files', for columns that are called otherwise there.
        skip_placeholders: leave out rows whose text must be fetched first, instead of refusing them.

    Raises:
        SplitError: the mapping names no column of ours.
    """

    def __init__(self, where: str, columns: Mapping[str, str], *, skip_placeholders: bool) -> None:
        check_mapping(columns)
        self._where = where
        self._columns = columns
        self._skip_placeholders = skip_placeholders
        self._names: tuple[str, ...] | None = None
        self._form: Form | None = None
        self._first_form: tuple[Form, Place] | None = None
        self._prompts: list[Prompt] = []
        self._places: dict[str, Place] = {}
        self._text_bytes = 0
        self._placeholders: list[tuple[str, str]] = []
        self._replies = 0
        self._unread = Unread()

    def form(self, names: tuple[str, ...], place: Place) -> Form:
        """Our columns among these of a file or row, which must be of the same kind as those before.

        Raises:
            SplitError: see ``form_of``; or they differ from those before.
        """
        if self._form is None or names != self._names:
            form = form_of(names, self._columns, place)
            if self._first_form is None:
                self._first_form = form, place
            self._check_same_kind(form, place, *self._first_form)
            self._unread.add(names, form)
            self._form, self._names = form, names
        return self._form

    def _check_same_kind(self, form: Form, place: Place, first: Form, first_place: Place) -> None:
        if form.kind != first.kind:
            raise SplitError(
                f"{place} has {form.describe()}; {first_place} has {first.describe()}.",
                "Give all rows of a split the same columns, or make two splits of them.",
            )

    def add(self, row: Row, place: Place) -> None:
        """Check a row and keep it.

        Raises:
            SplitError: it cannot be used, or is one too many.
        """
        if len(self._places) >= MAX_ROWS:
            raise SplitError(f"{self._where} has more than {MAX_ROWS:,} rows.", "Select those that are to be asked.")
        form = self.form(tuple(row), place)
        check_askable(row, form.unaskable, place)
        conversation = conversation_of(row, form, place)
        self._replies += conversation.replies
        self._check_size(conversation, place)
        question_id = self._question_id(row, form, conversation, place)
        category = name_of(row, form, "category", place) if "category" in form.theirs else ONLY_CATEGORY
        if category == RESERVED_CATEGORY:
            raise SplitError(
                f"{place}: a category cannot be called {RESERVED_CATEGORY!r}.",
                "That is the name of all categories together in every table; rename it.",
            )
        if conversation.is_placeholder:
            self._placeholders.append((category, question_id))
            return
        self._prompts.append(
            Prompt(
                question_id=question_id,
                category=category,
                sub_category=name_of(row, form, "sub_category", place, optional=True),
                turns=compact(conversation.turns),
                source=label_of(row, form, "source", place),
                src_id=label_of(row, form, "src_id", place),
                difficulty=label_of(row, form, "difficulty", place),
                system=conversation.system,
            )
        )

    def _check_size(self, conversation: Conversation, place: Place) -> None:
        size = sys.getsizeof(conversation.system) + sum(map(sys.getsizeof, conversation.turns))
        if size > MAX_ROW_BYTES:
            raise SplitError(
                f"{place}: the row has {size / 2**20:.0f} MiB of text; at most {MAX_ROW_BYTES >> 20} are read.",
                "Cut it: no model takes a prompt of that length.",
            )
        self._text_bytes += size
        if self._text_bytes > MAX_TEXT_BYTES:
            raise SplitError(
                f"{place}: the rows up to here have more than {MAX_TEXT_BYTES >> 30} GiB of text.",
                "Select those that are to be asked.",
            )

    def _question_id(self, row: Row, form: Form, conversation: Conversation, place: Place) -> str:
        given = "question_id" in form.theirs
        question_id = name_of(row, form, "question_id", place) if given else _made_up_id(conversation)
        if question_id in self._places:
            first = self._places[question_id]
            before = f"in {first.unit} {first.number}" if first.file == place.file else f"in {first}"
            if given:
                raise SplitError(
                    f"{place}: question_id {question_id!r} was used {before}.",
                    "Give every row an id of its own: results are paired by it.",
                )
            raise SplitError(
                f"{place}: the same text was asked {before}.",
                "Remove one of them, or give the rows a column question_id.",
            )
        self._places[question_id] = place
        return question_id

    def reading(self) -> Reading:
        """All rows that were added.

        Raises:
            SplitError: there are none, or placeholders that are not to be left out.
        """
        if not self._places:
            raise SplitError(f"{self._where} is empty.", "Give at least one row with question_id, category and turns.")
        if self._placeholders and not (self._skip_placeholders and self._prompts):
            raise self._placeholder_error()
        prompts = tuple(self._prompts)
        return Reading(prompts, tuple(self._notes()), content_hash(prompts))

    def _placeholder_error(self) -> SplitError:
        ids = [question_id for _, question_id in self._placeholders]
        shown = ", ".join(ids[:_SHOWN_IDS]) + (", …" if len(ids) > _SHOWN_IDS else "")
        if not self._prompts:
            return SplitError(
                f"{self._where}: all rows are placeholders for text that is not in this file ({self._per_category()}).",
                "Fetch the text first: speedbench prepare CONFIG.",
            )
        return SplitError(
            f"{self._where}: {len(ids)} of {len(self._places)} rows are placeholders for text that is not in this "
            f"file: {self._per_category()} (question_id {shown}).",
            "Fetch the text first (speedbench prepare CONFIG), or leave these rows out "
            "(--speedbench-allow-placeholders=skip).",
        )

    def _per_category(self) -> str:
        counts = Counter(category for category, _ in self._placeholders)
        return ", ".join(f"{category} {count}" for category, count in sorted(counts.items()))

    def _notes(self) -> list[str]:
        notes = []
        if self._placeholders:
            count = len(self._placeholders)
            rows = "placeholder row" if count == 1 else "placeholder rows"
            notes.append(f"{count} {rows} left out: {self._per_category()}.")
        if self._replies:
            messages = "assistant message" if self._replies == 1 else "assistant messages"
            notes.append(f"{self._replies} {messages} left out: the target answers itself.")
        form = self._first_form[0] if self._first_form else None
        if form and "category" not in form.theirs:
            notes.append(f"There is no column category: every prompt is in the category {ONLY_CATEGORY!r}.")
        if form and "question_id" not in form.theirs:
            notes.append("There is no column question_id: ids are hashes of the text.")
        notes.extend(self._unread.notes())
        return notes


def _made_up_id(conversation: Conversation) -> str:
    """An id that stays the same when rows are added, removed or sorted."""
    content = json.dumps([conversation.system, *conversation.turns], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:_MADE_UP_ID_DIGITS]
