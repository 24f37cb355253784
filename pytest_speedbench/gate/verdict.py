"""What the gate is told and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal

from pytest_speedbench.config import DEFAULT_FAMILY_ERROR
from pytest_speedbench.tolerance import Tolerance

if TYPE_CHECKING:
    from pytest_speedbench.config import GatePolicyName, OutputsPolicyName
    from pytest_speedbench.gate.loaded import SameDrafts
    from pytest_speedbench.gate.outputs import OutputsFinding


class Verdict(str, Enum):
    """What can be said of one figure, or of a category with all of its figures."""

    REGRESSION = "regression"
    """The drop is greater than the tolerance: the whole interval lies below it."""
    NO_REGRESSION = "no regression"
    """A drop greater than the tolerance is excluded: the whole interval lies above it."""
    UNDECIDED = "undecided"
    """The interval holds the tolerance, or there are too few prompts for one."""
    MISSING = "missing data"
    """Measured prompts lack what the comparison needs. This does not pass."""


Basis = Literal["paired", "unpaired", "aggregate"]
"""Prompt by prompt; different prompts on the two sides; or against figures without prompts, taken as exact."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What counts as worse, how sure the gate must be, and what fails.

    Attributes:
        tolerance: the accepted drop, by figure and category.
        family_error: the probability of calling any regression when every true drop is within its tolerance.
        mode: ``detect`` fails on a regression, ``prove`` unless no regression is shown.
        outputs: how many greedy outputs may differ from the reference's; an error level of their own, of the same size.

    Raises:
        ValueError: an error level outside (0, 0.5).
    """

    tolerance: Tolerance = field(default_factory=Tolerance)
    family_error: float = DEFAULT_FAMILY_ERROR
    mode: GatePolicyName = "detect"
    outputs: OutputsPolicyName = "calibrated"

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 < self.family_error < 0.5:
            raise ValueError(f"the family-wise error lies between 0 and 0.5, got {self.family_error}")


@dataclass(frozen=True, slots=True)
class Change:
    """The comparison of one figure. Changes are relative: −0.05 is a drop of 5 %.

    Attributes:
        metric: ``al_macro``, ``al_pooled`` or ``ar1`` …; with steps without a draft the lengths are tokens per decode
            step.
        prompts: how many it is judged on: with early decisions, those asked when it was most sure.
        baseline: the figure before.
        candidate: the figure now.
        lower: lower end of the interval of the change, one-sided error ``level``; ``None`` if not tested.
        upper: upper end, likewise.
        tolerance: the accepted drop as a share; of ``overall``, the mean of the categories' weighted by their figures.
        p_value: one-sided, of a change at or above −tolerance; ``None`` if not tested. With early decisions, the
            smallest of all looks, each divided by its share of the error.
        adjusted_p_value: Holm-adjusted over the family: a regression if at most the family-wise error.
        level: the one-sided error level of this interval.
        verdict: what can be said.
        detectable_drop: the smallest true drop that a test like this one, with this noise and as many prompts, finds
            with a probability of 80 %.
        near_ties: how far rounding alone may move a figure of replayed outputs, as a share of it and at the same error
            level; the interval allows for it. ``None`` where nothing was replayed, or where that is not known.
    """

    metric: str
    prompts: int
    baseline: float
    candidate: float
    lower: float | None
    upper: float | None
    tolerance: float
    p_value: float | None
    adjusted_p_value: float | None
    level: float | None
    verdict: Verdict
    detectable_drop: float | None
    near_ties: float | None = None

    @property
    def change(self) -> float:
        """``candidate / baseline − 1``."""
        return self.candidate / self.baseline - 1


@dataclass(frozen=True, slots=True)
class GateRow:
    """The comparison of one category, or of all prompts together.

    Attributes:
        name: the category, or ``overall``.
        prompts: prompts compared.
        of_prompts: prompts that the baseline or the measurement has in this category.
        changes: one per gated figure, al_macro first; none if there is nothing to compare.
        verdict: the worst of its figures'.
        reason: why data is missing or nothing could be tested, in words; otherwise empty.
        stopped: whether it was decided before all its prompts were asked.
        prompt_ids: the prompts of which all its figures are; none where nothing was tested.
    """

    name: str
    prompts: int
    of_prompts: int
    changes: tuple[Change, ...]
    verdict: Verdict
    reason: str = ""
    stopped: bool = False
    prompt_ids: tuple[str, ...] = ()

    @property
    def headline(self) -> Change | None:
        """The figure to show first: the one that regressed most surely, else al_macro; ``None`` without any."""
        regressed = [change for change in self.changes if change.verdict is Verdict.REGRESSION]
        surest = min(regressed, key=lambda change: change.p_value or 0.0, default=None)
        return surest or (self.changes[0] if self.changes else None)

    @property
    def detectable_drop(self) -> float | None:
        """The smallest drop of any of the lengths that would have been found; ``None`` if nothing was tested."""
        drops = [change.detectable_drop for change in self.changes if change.detectable_drop is not None]
        return min(drops, default=None)

    @property
    def tested(self) -> bool:
        """Whether there is an interval for at least one figure."""
        return any(change.lower is not None for change in self.changes)

    def change_of(self, metric: str) -> Change | None:
        """The comparison of one figure, ``None`` if it was not gated."""
        return next((change for change in self.changes if change.metric == metric), None)


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
        family: how many figures were tested, those of ``overall`` included.
        family_error: the family-wise error that intervals and verdicts hold to together.
        mode: ``detect`` or ``prove``.
        basis: what was set against what.
        notes: what a reader should know besides.
        update_hint: how to accept the change; empty if there is nothing to update.
        outputs: how many greedy outputs differ from the reference's; ``None`` where they are not compared.
        same_drafts: that another drafter drafted the very same as the reference's; ``None`` if it did not.
    """

    against: str
    figure: str
    rows: tuple[GateRow, ...]
    overall: GateRow | None
    family: int
    family_error: float
    mode: GatePolicyName = "detect"
    basis: Basis = "paired"
    notes: tuple[str, ...] = ()
    update_hint: str = ""
    outputs: OutputsFinding | None = None
    same_drafts: SameDrafts | None = None

    @property
    def all_rows(self) -> tuple[GateRow, ...]:
        """The categories' rows, then the overall one."""
        return self.rows if self.overall is None else (*self.rows, self.overall)

    @property
    def failed(self) -> bool:
        """Whether the comparison does not pass.

        Outputs that are not the reference's, a drafter that seems not to be loaded, or :attr:`rows_failed`.
        """
        return self.outputs_failed or self.not_loaded or self.rows_failed

    @property
    def not_loaded(self) -> bool:
        """Whether the drafter that is judged seems not to have drafted at all."""
        return self.same_drafts is not None and self.same_drafts.failed

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the comparison as such, in words: what fails it, then :attr:`asides`."""
        same = self.same_drafts.sentence if self.same_drafts is not None and self.same_drafts.failed else ""
        return tuple(words for words in (self.outputs_sentence, same, *self.asides) if words)

    @property
    def asides(self) -> tuple[str, ...]:
        """What should make a reader doubt the comparison though it fails nothing, in words."""
        blind = self.outputs.blind if self.outputs is not None else ""
        same = self.same_drafts.sentence if self.same_drafts is not None and not self.same_drafts.failed else ""
        return tuple(words for words in (blind, same) if words)

    @property
    def outputs_failed(self) -> bool:
        """Whether more greedy outputs differ from the reference's than may: it was not the drafter that changed."""
        return self.outputs is not None and self.outputs.failed

    @property
    def outputs_sentence(self) -> str:
        """How many outputs differ and how many may, where they fail; otherwise empty."""
        return self.outputs.sentence(self.against) if self.outputs is not None and self.outputs.failed else ""

    @property
    def rows_failed(self) -> bool:
        """Whether the acceptance does not pass.

        A regression, missing data, or nothing that could be judged at all; with ``prove`` also anything undecided.
        """
        bad = {Verdict.REGRESSION, Verdict.MISSING}
        if self.mode == "prove":
            bad.add(Verdict.UNDECIDED)
        return any(row.verdict in bad for row in self.all_rows) or not any(row.tested for row in self.all_rows)

    @property
    def regressed(self) -> tuple[str, ...]:
        """Names of the rows with a regression."""
        return tuple(row.name for row in self.all_rows if row.verdict is Verdict.REGRESSION)
