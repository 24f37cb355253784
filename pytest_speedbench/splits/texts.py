"""Long texts, kept small."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import overload

_LONG_CHARS = 1024
_NARROW_BYTES = 1.25


class Texts(Sequence[str]):
    """A tuple of texts that holds them as UTF-8 and makes a ``str`` of one when it is asked for.

    Python keeps a whole text at two or four bytes a character where a single one is beyond Latin-1: a split of long
    prompts would take several times the size of its file.
    """

    __slots__ = ("_encoded",)

    def __init__(self, texts: Sequence[str]) -> None:
        self._encoded = tuple(text.encode() for text in texts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(text.decode() for text in self._encoded[place])
        return self._encoded[place].decode()

    def __len__(self) -> int:
        return len(self._encoded)

    def __iter__(self) -> Iterator[str]:
        return (text.decode() for text in self._encoded)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self._encoded == other._encoded
        return tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def compact(texts: tuple[str, ...]) -> Sequence[str]:
    """The same texts, as :class:`Texts` where that is smaller by much."""
    wide = any(len(text) > _LONG_CHARS and sys.getsizeof(text) > _NARROW_BYTES * len(text) for text in texts)
    return Texts(texts) if wide else texts
