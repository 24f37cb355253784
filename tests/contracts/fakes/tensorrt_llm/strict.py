"""Which version this is, what is used of it, and how the use of anything else fails."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

VARIANT = os.environ.get("FAKE_TENSORRT_LLM", "1.2")
USES: defaultdict[str, set[str]] = defaultdict(set)
"""Names used so far, by subject."""


class UnknownNameError(Exception):
    """Something was used that the real one does not have. No AttributeError, which ``getattr`` would swallow."""


def since(version: str) -> bool:
    """Whether this version is ``version`` or later; ``"1.2+"`` is later than ``"1.2"``."""
    return version <= VARIANT


def note(subject: str, names: Iterable[str]) -> None:
    """Keep in mind that ``names`` were used."""
    USES[subject].update(names)


def check_keywords(subject: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a keyword as a pydantic model that forbids extra fields does.

    Raises:
        ValueError: with pydantic's words.
    """
    for name in given:
        if name not in set(known):
            raise ValueError(
                f"1 validation error for {subject}\n{name}\n  Extra inputs are not permitted "
                f"[type=extra_forbidden, input_value={given[name]!r}]"
            )
    note(subject, given)


class Seen:
    """An object that shows the named attributes of another, and notes which are read."""

    def __init__(self, subject: str, names: Iterable[str], inner: Any) -> None:
        self._subject, self._names, self._inner = subject, frozenset(names), inner

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise UnknownNameError(f"{self._subject} has no {name}")
        note(self._subject, [name])
        return getattr(self._inner, name)

    def __aiter__(self) -> Any:
        return self._inner.__aiter__()


class SeenFields(Mapping[str, Any]):
    """The same for a JSON object. A field that only some objects have may be asked for."""

    def __init__(self, subject: str, names: Iterable[str], fields: Mapping[str, Any]) -> None:
        self._subject, self._names, self._fields = subject, frozenset(names), fields

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise UnknownNameError(f"{self._subject} has no {name}")
        note(self._subject, [name])
        return self._fields[name]

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
