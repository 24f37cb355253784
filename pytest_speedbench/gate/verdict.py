"""What the gate is told and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_speedbench.config import DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FAMILY_ERROR = 0.01


class Verdict(str, Enum):
    """What can be said of one category."""

    REGRESSION = "regression"
    """The drop is greater than the tolerance: the whole interval lies below it."""
    NO_REGRESSION = "no regression"
    """A drop greater than the tolerance is excluded: the whole interval lies above it."""
    UNDECIDED = "undecided"
    """The interval holds the tolerance, or there are too few prompts for one."""
    MISSING = "missing data"
    """Measured prompts lack what the comparison needs. This does not pass."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What counts as worse, and how sure the gate must be.

    Attributes:
        tolerance: the relative drop of a category's acceptance length that is accepted: 0.01 is 1 %.
        by_category: tolerances of single categories, in place of ``tolerance``.
        family_error: the probability of calling any regression when every category's true drop is within its tolerance.
            Nominal: with a few prompts that gain much among many that lose, it is higher (benchmarks/gate_power.py).

    Raises:
        ValueError: a tolerance outside [0, 1) or an error level outside (0, 0.5).
    """

    tolerance: float = DEFAULT_TOLERANCE
    by_category: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    family_error: float = DEFAULT_FAMILY_ERROR

    def __post_init__(self) -> None:
        """Check the ranges."""
        for tolerance in (self.tolerance, *self.by_category.values()):
            if not 0 <= tolerance < 1:
                raise ValueError(f"a tolerance is a share of at least 0 and below 1, got {tolerance}")
        if not 0 < self.family_error < 0.5:
            raise ValueError(f"the family-wise error lies between 0 and 0.5, got {self.family_error}")

    def tolerance_of(self, category: str) -> float:
        """The tolerance of one category."""
        return self.by_category.get(category, self.tolerance)


@dataclass(frozen=True, slots=True)
class Mover:
    """A prompt that moved its category. Lengths are tokens per step, steps are decode steps over all turns."""

    question_id: str
    baseline_al: float
    candidate_al: float
    baseline_steps: int
    candidate_steps: int
    turns: int


@dataclass(frozen=True, slots=True)
class GateRow:
    """The comparison of one category, or of all prompts together. Changes are relative: −0.05 is a drop of 5 %.

    Attributes:
        name: the category, or ``overall``.
        prompts: prompts compared, each with its own baseline.
        of_prompts: prompts that the baseline or the measurement has in this category.
        baseline_al: mean over the compared prompts of the baseline's length; ``None`` if there are none.
        candidate_al: the same now.
        change: ``candidate_al / baseline_al − 1``.
        lower: lower end of the interval of the change, one-sided error ``level``; ``None`` below three prompts.
        upper: upper end, likewise.
        tolerance: the accepted drop; of ``overall``, the mean of the categories' weighted by their baseline lengths.
        p_value: one-sided, of a change at or above −tolerance; ``None`` if not tested.
        adjusted_p_value: Holm-adjusted over the family: a regression if at most the family-wise error.
        level: the one-sided error level at which this row was tested.
        verdict: what can be said.
        detectable_drop: the smallest true drop that a test like this one, with this noise and as many prompts, finds
            with a probability of 80 %.
        reason: why data is missing or nothing could be tested, in words; otherwise empty.
        movers: the prompts that moved most in the direction of the change, the strongest first.
    """

    name: str
    prompts: int
    of_prompts: int
    baseline_al: float | None
    candidate_al: float | None
    change: float | None
    lower: float | None
    upper: float | None
    tolerance: float
    p_value: float | None
    adjusted_p_value: float | None
    level: float | None
    verdict: Verdict
    detectable_drop: float | None
    reason: str = ""
    movers: tuple[Mover, ...] = ()


@dataclass(frozen=True, slots=True)
class GateResult:
    """The outcome of one comparison.

    Attributes:
        against: what was compared with, in words.
        figure: the length that was compared: ``acceptance length``, or ``tokens per decode step`` where steps without a
            draft occurred.
        rows: one per measured category, in alphabetical order.
        overall: all compared prompts together, each alike; tested too. ``None`` for a single category, which it would
            repeat, or without any compared prompt.
        family: how many rows were tested, ``overall`` included.
        family_error: the family-wise error that intervals and verdicts hold to together.
        notes: what a reader should know besides.
        update_hint: how to accept the change; empty if there is nothing to update.
    """

    against: str
    figure: str
    rows: tuple[GateRow, ...]
    overall: GateRow | None
    family: int
    family_error: float
    notes: tuple[str, ...] = ()
    update_hint: str = ""

    @property
    def all_rows(self) -> tuple[GateRow, ...]:
        """The categories' rows, then the overall one."""
        return self.rows if self.overall is None else (*self.rows, self.overall)

    @property
    def failed(self) -> bool:
        """Whether the comparison does not pass: a regression, missing data, or nothing that could be judged at all."""
        bad = any(row.verdict in (Verdict.REGRESSION, Verdict.MISSING) for row in self.all_rows)
        return bad or all(row.lower is None for row in self.all_rows)
