"""Random draws every task template shares: weighted picks, invented names, small text helpers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

Turn = tuple[str, str]
"""One user message and the assistant's answer to it."""

_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ae", "ei", "ou")
_CODAS = ("", "", "l", "m", "n", "r", "s", "th", "rn", "nd", "sk", "lt")


class Draw(random.Random):
    """A seeded source of randomness with the picks that text templates need."""

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``, each as likely as the others."""
        return options[int(self.random() * len(options))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """``count`` different members of ``options`` in random order."""
        return self.sample(options, count)

    def chance(self, probability: float) -> bool:
        """True with the given probability (0 to 1)."""
        return self.random() < probability

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self.random() * (high - low + 1))

    def invented(self, syllables: int | None = None) -> str:
        """A capitalised word that exists in no language: it can be copied, but hardly known by heart."""
        count = syllables or (2 if self.random() < 0.6 else 3)
        parts = [self.pick(_ONSETS) + self.pick(_VOWELS) for _ in range(count)]
        return ("".join(parts) + self.pick(_CODAS)).capitalize()

    def code(self) -> str:
        """An invented identifier such as ``KX-482``."""
        return f"{chr(65 + self.number(0, 25))}{chr(65 + self.number(0, 25))}-{self.number(100, 999)}"


@dataclass(frozen=True, slots=True)
class Task:
    """A task template: ``build`` makes a whole dialogue, of which the stream often keeps the first turn only."""

    sub_category: str
    build: Callable[[Draw], list[Turn]]
    weight: float = 1.0


def article(noun: str) -> str:
    """The noun phrase with its indefinite article: ``an owl``, ``a lamp``."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def listing(items: Sequence[str], conjunction: str = "and") -> str:
    """``a, b and c``."""
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"
