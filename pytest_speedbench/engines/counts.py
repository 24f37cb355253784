"""Counts as engines state them: whole numbers that are not negative, and nothing that could be read as one."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any


def count(value: Any, name: str) -> int:
    """A count. Other libraries' integers are taken; truth values, texts and fractions are none, whole ones neither.

    Args:
        value: as the engine gave it.
        name: what it counts, for the message.

    Raises:
        ValueError: it is no count.
    """
    if isinstance(value, bool):
        raise ValueError(f"{name} is {_shown(value)}, and no count")  # noqa: TRY004 - a wrong answer, no wrong call
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {_shown(value)}, and no count") from None
    if number < 0:
        raise ValueError(f"{name} is {number}, and no count")
    return number


def counts(values: Any, name: str) -> tuple[int, ...]:
    """A list of counts.

    Raises:
        ValueError: it is no list, or holds something else.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {_shown(values)}, and no list of counts")  # noqa: TRY004 - likewise
    return tuple(count(value, f"{name}[{place}]") for place, value in enumerate(values))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
