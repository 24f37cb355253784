"""Conditions: which prompts of a split are asked, e.g. ``difficulty=hard|medium,turns>=2``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_speedbench.errors import ConfigError, closest
from pytest_speedbench.splits.lengths import parse_count
from pytest_speedbench.splits.schema import Prompt, Split, TextTokenizer

_TEXTS: Mapping[str, Callable[[Prompt], str]] = {
    "category": lambda prompt: prompt.category,
    "sub_category": lambda prompt: prompt.sub_category,
    "difficulty": lambda prompt: prompt.difficulty,
    "source": lambda prompt: prompt.source,
    "question_id": lambda prompt: prompt.question_id,
    "multiturn": lambda prompt: "yes" if prompt.multiturn else "no",
}
_TOKENS = "tokens"
_NUMBERS: Mapping[str, Callable[[Prompt], int]] = {
    "turns": lambda prompt: len(prompt.turns),
    "chars": lambda prompt: len(prompt.turns[0]),
}
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FIELDS = (*_TEXTS, *_NUMBERS, _TOKENS)
_PART = re.compile(r"([\w-]+)\s*(<=|>=|!=|=|<|>)\s*(.*)", re.DOTALL)
_EXAMPLE = "difficulty=hard|medium,turns>=2,tokens<8k"

TableValue = str | int | bool | Sequence[str]
"""What a condition can be in TOML."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a prompt must be like.

    Attributes:
        field: ``category``, ``sub_category``, ``difficulty``, ``source``, ``question_id``, ``multiturn``, ``turns``, or
            of the first turn ``chars`` or ``tokens``.
        comparison: ``=`` or ``!=``; for numbers also ``<``, ``<=``, ``>``, ``>=``.
        wanted: a number, or the texts one of which (``=``) or none of which (``!=``) the field must be.
    """

    field: str
    comparison: str
    wanted: int | tuple[str, ...]

    def matches(self, prompt: Prompt, tokenizer: TextTokenizer | None) -> bool:
        """Whether the prompt is like that. ``tokens`` are counted by this tokenizer, without the chat template.

        Raises:
            ConfigError: tokens are to be counted, and there is no tokenizer.
        """
        if isinstance(self.wanted, tuple):
            return (_TEXTS[self.field](prompt) in self.wanted) == (self.comparison == "=")
        compare = _COMPARISONS[self.comparison]
        if self.field != _TOKENS:
            return compare(_NUMBERS[self.field](prompt), self.wanted)
        if tokenizer is None:
            raise ConfigError(
                f"The condition {self} counts tokens, and the target's tokenizer is not known here.",
                "Give a condition on chars instead.",
            )
        return compare(tokenizer.count(prompt.turns[0]), self.wanted)

    def __str__(self) -> str:
        return f"{self.field}{self.comparison}" + (
            "|".join(self.wanted) if isinstance(self.wanted, tuple) else str(self.wanted)
        )


def parse_conditions(given: str | Mapping[str, TableValue], name: str) -> tuple[Condition, ...]:
    """Read conditions, all of which must hold; the costly ones on tokens come last.

    Args:
        given: ``difficulty=hard|medium,turns>=2``, or a table ``{difficulty = ["hard", "medium"], turns = ">=2"}``.
        name: how the user calls the setting, for messages.

    Raises:
        ConfigError: an unknown field, comparison or value.
    """
    parts = given.split(",") if isinstance(given, str) else _parts_of_table(given, name)
    conditions = [_parse(part.strip(), name) for part in parts]
    return tuple(sorted(conditions, key=lambda condition: condition.field == _TOKENS))


def needs_tokenizer(conditions: Iterable[Condition]) -> bool:
    """Whether one of them counts tokens."""
    return any(condition.field == _TOKENS for condition in conditions)


def describe(conditions: Iterable[Condition]) -> str:
    """For headers and records, e.g. ``difficulty=hard|medium, turns>=2``."""
    return ", ".join(map(str, conditions))


def values_of(split: Split, field: str) -> tuple[str, ...]:
    """The values that a text field has in the split, in alphabetical order; empty for a number."""
    value = _TEXTS.get(field)
    return tuple(sorted({value(prompt) for prompt in split.prompts})) if value else ()


def _parts_of_table(table: Mapping[str, TableValue], name: str) -> list[str]:
    parts = []
    for field, value in table.items():
        several = [value] if isinstance(value, str | int) else value
        if not isinstance(several, Sequence) or not all(isinstance(one, str | int) for one in several) or not several:
            raise ConfigError(f"{name}: {field} = {value!r} is no condition.", _remedy(field))
        if field in _TEXTS and not isinstance(value, str):
            parts.append(f"{field}=" + "|".join(_in_words(one) for one in several))
        else:
            parts.extend(_part_of_table(field, _in_words(one)) for one in several)
    return parts


def _part_of_table(field: str, value: str) -> str:
    return f"{field}{value}" if value.lstrip().startswith(tuple("<>=!")) else f"{field}={value}"


def _in_words(value: str | int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _parse(part: str, name: str) -> Condition:
    found = _PART.fullmatch(part)
    if found is None:
        raise ConfigError(f"{name}: {part!r} is no condition.", f"Write for example {_EXAMPLE}.")
    field, comparison, value = found.groups()
    if field not in _FIELDS:
        raise ConfigError(
            f"{name}: there is no field {field!r} to choose prompts by.",
            f"{closest(field, _FIELDS)}There are: {', '.join(_FIELDS)}.",
        )
    if field in _TEXTS:
        wanted = tuple(text.strip() for text in value.split("|"))
        if comparison not in {"=", "!="} or not all(wanted) or value.startswith("="):
            raise ConfigError(f"{name}: {part!r} is no condition on a text.", _remedy(field))
        if field == "multiturn" and not {"yes", "no"}.issuperset(wanted):
            raise ConfigError(f"{name}: {part!r} is neither yes nor no.", _remedy(field))
        return Condition(field, comparison, wanted)
    number = parse_count(value)
    if number is None:
        raise ConfigError(f"{name}: {value!r} in {part!r} is no number.", _remedy(field))
    return Condition(field, comparison, number)


def _remedy(field: str) -> str:
    if field == "multiturn":
        return "Write multiturn=yes or multiturn=no."
    if field in _TEXTS:
        return f"Write {field}=ONE|ANOTHER or {field}!=ONE."
    return f"Write a whole number after =, !=, <, <=, > or >=, e.g. {field}>=2 or {field}<8k."
