"""What a check found, and how a check says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(str, Enum):
    """How a promise stands."""

    KEPT = "kept"
    BROKEN = "broken"
    ABSENT = "absent"
    """It cannot be said: the engine gives no account of it, or what it gives is too little. Never shown as kept."""
    SKIPPED = "skipped"
    """It was not asked, because the pair has nothing to ask it of."""


class BrokenPromiseError(Exception):
    """A check found that the engine does otherwise. The message says what, with figures."""


class AbsentError(Exception):
    """A check cannot say. The message says what is missing."""


class NotAskedError(Exception):
    """There is nothing to check with this pair. The message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one promise stands.

    Attributes:
        promise: its short name.
        title: the promise in words.
        outcome: how it stands.
        words: one line of figures, or what is wrong or missing.
        took_s: how long the check took, in seconds.
    """

    promise: str
    title: str
    outcome: Outcome
    words: str
    took_s: float
