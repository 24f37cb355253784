"""How many prompts it takes to find a drop, and what the prompts at hand can see, from a baseline alone.

Planned for the worst case in which the gate's model holds: every prompt is decoded anew on both sides, its steps
scatter independently as they do in the baseline, and it loses the same share as every other. Then the variance of δ is
the one that the steps of all prompts imply (``implied_by_all`` in :mod:`pytest_speedbench.gate.effects`), and shrinks
with 1 / prompts; a drop is found with the asked probability where

    log(1 − tolerance) − log(1 − drop) ≥ (t at that probability + t at the error level) · √(implied + run noise),

each t with the degrees of freedom of the gate's moderated variance. The error level is that of Holm's first step: the
family-wise error over the number of tests. With early stopping the last look alone is counted, at its share of the
error; the early ones can only find more. The noise that a whole run has in common does not shrink with prompts, so that
it bounds what any number of them can see.

Smaller drops than planned are found where prompts that the drafter did not lose keep their steps; larger ones only
where a few prompts lose it all, or where steps hang together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import exp, log
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from pytest_speedbench.gate.compare import metrics_of
from pytest_speedbench.gate.counts import StepCounts
from pytest_speedbench.gate.effects import COMMON_WEIGHT, MIN_PROMPTS, LogRatio, satterthwaite
from pytest_speedbench.gate.figures import LENGTHS, sums
from pytest_speedbench.gate.noise import run_noise, shared_noise
from pytest_speedbench.gate.pairing import (
    ACCEPTANCE_LENGTH,
    TOKENS_PER_DECODE_STEP,
    Pairing,
    PromptPair,
    counts_by_category,
    describe,
    has_undrafted,
    sides,
)
from pytest_speedbench.gate.rows import Row, make_rows
from pytest_speedbench.gate.sequential import share_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_speedbench.baselines.schema import Baseline
    from pytest_speedbench.gate.effects import RunNoise
    from pytest_speedbench.gate.pairing import Side
    from pytest_speedbench.gate.verdict import GatePolicy

    Floats = NDArray[np.float64]

MOST_PROMPTS = 1_000_000
"""More prompts than that are not planned for."""
_EVERY_NUMBER_TO = 200
_STEP = 1.02


@dataclass(frozen=True, slots=True)
class FigurePlan:
    """What one acceptance length of one row can see.

    Attributes:
        metric: ``al_macro`` or ``al_pooled``.
        prompts: how many the baseline has.
        tolerance: the accepted drop, as a share of the baseline's figure.
        implied: variance of δ that the steps of one prompt imply, on average: of n prompts, this over n.
        freedom: effective number of prompts per prompt, at most 1: below where a few hold most of the variance.
        noise: what moves whole runs; ``None`` if it is not known.
    """

    metric: str
    prompts: int
    tolerance: float
    implied: float
    freedom: float
    noise: RunNoise | None

    @classmethod
    def of(cls, metric: str, ratio: LogRatio, tolerance: float, noise: RunNoise | None) -> FigurePlan:
        """From a comparison of the baseline with itself in which every prompt counts as decoded anew."""
        n = ratio.prompts
        effective = ratio.freedom * n / (n - 1) if n > 1 else 1.0
        return cls(metric, n, tolerance, ratio.implied_by_all * n, effective / n, noise)

    def detectable(self, prompts: Floats, level: Floats, power: float) -> Floats:
        """The smallest drop that so many prompts find with this probability, at the one-sided error level of each."""
        variance = self.implied / prompts
        freedom = COMMON_WEIGHT + self.freedom * (prompts - 1)
        if self.noise is not None and self.noise.variance:
            freedom = satterthwaite(variance, freedom, self.noise.variance, self.noise.freedom)
            variance = variance + self.noise.variance
        reach = (stdtrit(freedom, power) - stdtrit(freedom, level)) * np.sqrt(variance)
        drop: Floats = 1 - (1 - self.tolerance) * np.exp(-reach)
        return drop


@dataclass(frozen=True, slots=True)
class Need:
    """How many prompts find one drop. ``None``: no number up to a million does.

    Attributes:
        drop: the drop, as a share.
        prompts: asked all at once.
        early: with early stopping: planned, of which fewer may be asked.
        accepted: the drop lies within the tolerance, so that it is not to be found.
        by_noise: what moves whole runs hides the drop from any number of prompts.
    """

    drop: float
    prompts: int | None
    early: int | None
    accepted: bool = False
    by_noise: bool = False


@dataclass(frozen=True, slots=True)
class RowPlan:
    """What can be planned for one category, or for all prompts together.

    Attributes:
        name: the category, or ``overall``: there, every category is planned to lose the same share, and prompts are
            those of all categories, in the baseline's proportions.
        prompts: how many the baseline has.
        tolerance: the accepted drop of the mean acceptance length, as a share.
        detectable: the smallest drop that the baseline's prompts find; ``None`` for fewer than three.
        detectable_early: the same with early stopping.
        detectable_by_noise: the smallest drop that any number of prompts finds; ``None`` where run noise is not known
            or there is none.
        needs: one per asked drop, in its order.
    """

    name: str
    prompts: int
    tolerance: float
    detectable: float | None
    detectable_early: float | None
    detectable_by_noise: float | None
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """What a baseline says of the prompts that a gate against it needs.

    Attributes:
        against: the baseline, in words.
        figure: the name of the compared length.
        power: the probability with which drops are to be found.
        family_error: the family-wise error of the gate.
        tests: how many figures are tested together.
        level: the one-sided error level of each: that of the gate's first finding.
        runs: runs of the baseline's calibration; ``None`` for an uncalibrated baseline.
        drops: the asked ones, as shares.
        rows: the categories in alphabetical order.
        overall: all prompts together; ``None`` for a single category.
        unusable: prompts of the baseline without a decode step.
        not_judged: the categories that a gate cannot judge, with the reason in words; they have no row.
    """

    against: str
    figure: str
    power: float
    family_error: float
    tests: int
    level: float
    runs: int | None
    drops: tuple[float, ...]
    rows: tuple[RowPlan, ...]
    overall: RowPlan | None
    unusable: int
    not_judged: Mapping[str, str]

    @property
    def all_rows(self) -> tuple[RowPlan, ...]:
        """The categories' rows, then the overall one."""
        return self.rows if self.overall is None else (*self.rows, self.overall)


def plan(baseline: Baseline, drops: Iterable[float], policy: GatePolicy, *, power: float = 0.8) -> PowerPlan:
    """How many prompts each category needs for a gate against this baseline to find each of these drops.

    Both acceptance lengths are tested, so the smaller of their two needs holds.

    Args:
        baseline: its per-prompt counts, and its calibration if there is one.
        drops: relative ones, 0.05 for 5 %.
        policy: tolerances and error.
        power: the probability of finding a drop that is there.

    Raises:
        ValueError: a drop or a probability outside of (0, 1), or a baseline without a single decode step.
    """
    wanted = tuple(drops)
    if not all(0 < share < 1 for share in (*wanted, power)):
        raise ValueError("drops and their probability are shares between 0 and 1")
    pairing = _with_itself(baseline)
    made = make_rows(pairing, policy.tolerance)
    rows = [row for row in made if not row.problem]
    if not rows:
        stepless = all(pair.before is None for pair in pairing.pairs)
        raise ValueError("the baseline has no prompt with a decode step" if stepless else made[0].problem)
    tests = sum(row.gates(metric) for row in rows for metric in metrics_of(pairing, policy))
    level = policy.family_error / tests
    planned = [_row(row, pairing, wanted, level, power) for row in rows]
    return PowerPlan(
        against=pairing.against,
        figure=pairing.figure,
        power=power,
        family_error=policy.family_error,
        tests=tests,
        level=level,
        runs=baseline.calibration.runs if baseline.calibration else None,
        drops=wanted,
        rows=tuple(row for row, source in zip(planned, rows, strict=True) if not source.of_all),
        overall=next((row for row, source in zip(planned, rows, strict=True) if source.of_all), None),
        unusable=sum(pair.before is None for pair in pairing.pairs),
        not_judged={row.name: row.problem for row in made if row.problem},
    )


def _with_itself(baseline: Baseline) -> Pairing:
    """The baseline against one further run that counts just what its mean run did."""
    before = sides(baseline)
    undrafted = has_undrafted(before.values())

    def pair(question_id: str, side: Side) -> PromptPair:
        counts = StepCounts.of(side.records, undrafted=undrafted)
        again = replace(counts, runs=1) if counts else None
        return PromptPair(question_id, side.category, counts, again, side.turns)

    return Pairing(
        pairs=tuple(pair(*item) for item in before.items()),
        against=describe(baseline),
        figure=TOKENS_PER_DECODE_STEP if undrafted else ACCEPTANCE_LENGTH,
        baseline_prompts=counts_by_category(before.values()),
        noise=run_noise(baseline, undrafted=undrafted),
        draft_length=max(record.draft_length for side in before.values() for record in side.records),
    )


def _row(row: Row, pairing: Pairing, drops: Sequence[float], level: float, power: float) -> RowPlan:
    figures = []
    for metric in LENGTHS:
        ratio = LogRatio.paired(sums(metric, row.before), sums(metric, row.after), np.ones(row.prompts, dtype=np.bool_))
        tolerance = row.accepted_drop(metric, ratio.baseline)
        figures.append(FigurePlan.of(metric, ratio, tolerance, shared_noise(pairing.noise, row.name, metric)))
    at_hand = np.array([float(row.prompts)])
    enough = row.prompts >= MIN_PROMPTS
    early = level * _last_share(row.prompts)
    return RowPlan(
        name=row.name,
        prompts=row.prompts,
        tolerance=figures[0].tolerance,
        detectable=_seen(figures, at_hand, np.array([level]), power) if enough else None,
        detectable_early=_seen(figures, at_hand, np.array([early]), power) if enough else None,
        detectable_by_noise=_seen_at_best(figures, level, power),
        needs=tuple(_need(figures, drop, level, power) for drop in drops),
    )


def _seen(figures: Sequence[FigurePlan], prompts: Floats, levels: Floats, power: float) -> float:
    return min(float(figure.detectable(prompts, levels, power).min()) for figure in figures)


def _seen_at_best(figures: Sequence[FigurePlan], level: float, power: float) -> float | None:
    if any(figure.noise is None or not figure.noise.variance for figure in figures):
        return None
    numbers = _numbers()
    return _seen(figures, numbers, np.full_like(numbers, level), power)


def _need(figures: Sequence[FigurePlan], drop: float, level: float, power: float) -> Need:
    if all(drop <= figure.tolerance for figure in figures):
        return Need(drop, None, None, accepted=True)
    all_at_once = _fewest(figures, drop, level, power, early=False)
    early = _fewest(figures, drop, level, power, early=True)
    quiet = [replace(figure, noise=None) for figure in figures]
    by_noise = all_at_once is None and _fewest(quiet, drop, level, power, early=False) is not None
    return Need(drop, all_at_once, early, by_noise=by_noise)


def _fewest(figures: Sequence[FigurePlan], drop: float, level: float, power: float, *, early: bool) -> int | None:
    """The smallest number of prompts whose smallest detectable drop is this one, by either figure.

    What prompts see is looked up number by number, then in steps of 2 % whose first one is searched: with run noise
    known badly, more prompts can see less, as its few degrees of freedom come to rule.
    """

    def finds(numbers: Floats) -> NDArray[np.bool_]:
        shares = [_last_share(int(n)) if early else 1.0 for n in numbers]
        seen = [figure.detectable(numbers, level * np.array(shares), power) for figure in figures]
        found: NDArray[np.bool_] = np.min(seen, axis=0) <= drop
        return found

    numbers = _numbers()
    found = np.flatnonzero(finds(numbers))
    if not found.size:
        return None
    first = int(found[0])
    low, high = int(numbers[first - 1]) if first else int(numbers[0]) - 1, int(numbers[first])
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(np.array([float(middle)]))[0] else (middle, high)
    return high


@cache
def _last_share(prompts: int) -> float:
    """The part of the error that the last look has, of so many prompts planned."""
    return share_of(prompts, prompts)


@cache
def _numbers() -> Floats:
    """Every number of prompts from the fewest that are tested on, then in steps of 2 %."""
    steps = int(log(MOST_PROMPTS / _EVERY_NUMBER_TO) / log(_STEP)) + 1
    large = [min(MOST_PROMPTS, round(_EVERY_NUMBER_TO * exp(step * log(_STEP)))) for step in range(1, steps + 2)]
    return np.array(sorted({*range(MIN_PROMPTS, _EVERY_NUMBER_TO + 1), *large}), dtype=np.float64)
