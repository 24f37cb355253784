"""Errors that speak to the user: one sentence of what is wrong, one of how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pytest_speedbench.printable import printable
from pytest_speedbench.redaction import redact_text


class SpeedbenchError(Exception):
    """A mistake or a missing thing that the user can mend.

    Args:
        problem: one sentence: what is wrong, and where.
        remedy: one sentence: how to mend it.

    The pytest layer shows it without a traceback, as a usage error when it is known before any engine starts
    and as a plain test failure afterwards. Both sentences may hold text from outside: they are made
    printable, and secrets in them are left out.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = printable(redact_text(problem))
        self.remedy = printable(redact_text(remedy))
        super().__init__(self.problem, self.remedy)

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


class ConfigError(SpeedbenchError):
    """An option, environment variable, marker or ``[tool.speedbench]`` entry that cannot be used."""


class SplitError(SpeedbenchError):
    """A split that does not exist or whose rows cannot be used."""


class EngineError(SpeedbenchError):
    """An engine that is unknown, not installed, cannot load its models, or failed while measuring.

    Args:
        problem: as for every error.
        remedy: as for every error.
        output: what the engine printed last, shown below the message.
    """

    def __init__(self, problem: str, remedy: str, output: str = "") -> None:
        super().__init__(problem, remedy)
        self.output = printable(redact_text(output))

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n\nThe engine's last output:\n{self.output}" if self.output else text


class UnsupportedError(EngineError):
    """What an engine says it cannot do, before it tries: no fault, and not to be mended."""


class BaselineError(SpeedbenchError):
    """A stored baseline that is missing, damaged, of another schema version, or cannot be written."""


class OutputsError(SpeedbenchError):
    """Stored outputs that are missing, damaged, or of something else than what is to be judged on them."""


class SpeedbenchWarning(UserWarning):
    """Something that a user must know of a measurement, and that does not stop it."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class VerdictError(AssertionError):
    """A measurement that did not pass its check: a finding, not a mistake, and shown without a traceback."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class RegressionError(VerdictError):
    """The gate found a regression, or could not compare what it was asked to."""


class OutputsDifferError(VerdictError):
    """More greedy outputs differ from the baseline's than rounding explains: it was not the drafter that changed."""


class NotLosslessError(VerdictError):
    """The pair's greedy output is not the target's own."""


def closest(word: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'? `` for the known word closest to a misspelt one; empty if none is close."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""
