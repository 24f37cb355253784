"""Columns and fields that hold what no prompt of text can: with a value they are refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import msgspec

from pytest_speedbench.errors import SplitError

_UNASKABLE = re.compile(
    r"(?P<media>(?:image|video|audio)s?(?:_?(?:files?|urls?|paths?|data))?|(?:multi_modal|multimodal|mm)_(?:data|content))"
    r"|(?P<tools>tools?|functions?|tool_calls?|function_calls?|tool_choice|tool_definitions)"
    r"|(?P<documents>documents?)",
    re.IGNORECASE,
)
_WORDS = {"media": "images, video and sound", "tools": "tools", "documents": "documents"}
_BLANK_TEXTS = frozenset({"", "[]", "{}", "null", "none", "nan"})


def unaskable_names(names: Iterable[str]) -> tuple[str, ...]:
    """The columns or fields that hold what a prompt of text cannot."""
    return tuple(name for name in names if _UNASKABLE.fullmatch(name))


def unaskable(name: str, where: object) -> SplitError:
    """That a column or field has something that is not asked."""
    match = _UNASKABLE.fullmatch(name)
    kind = _WORDS[match.lastgroup or "media"] if match is not None else "something"
    return SplitError(
        f"{where}: {name} has a value, and {kind} cannot be asked: without them it would be another prompt.",
        f"Only text can be asked: leave such rows out, or {name} if the prompt does without it.",
    )


def check_askable(values: Mapping[str, object], names: Iterable[str], where: object) -> None:
    """Refuse a row or message with images, tools or documents; what has no value has none.

    Args:
        values: of its columns or fields.
        names: those to look at.
        where: it is, for messages.

    Raises:
        SplitError: it has some.
    """
    for name in names:
        if not is_blank(values.get(name)):
            raise unaskable(name, where)


def is_blank(value: object) -> bool:
    """Whether a cell or field is empty, in whatever way its format says it."""
    if isinstance(value, msgspec.Raw):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
    if isinstance(value, str):
        return value.strip().casefold() in _BLANK_TEXTS
    if isinstance(value, Mapping):
        return all(map(is_blank, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_blank, value))
    return value is None or (isinstance(value, float) and math.isnan(value))
