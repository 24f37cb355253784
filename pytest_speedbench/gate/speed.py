"""Whether a candidate is slower: ratios of speeds with intervals, and one verdict for each figure and concurrency.

The unit is the round, one pass over all prompts, and everything is computed on logarithms, so that means are geometric
and differences are ratios. What is compared is one of two things.

**Interleaved rounds** of one session, ABBABAAB…: both sides' rounds lie equally early and late. Rounds between two
restarts share one start of the engine, with whatever memory layout, clocks and compiled kernels it got, so they are
averaged first: the start is the unit, whatever the rounds inside of it agree on. With y̅_s the mean log figure of start
s, x_s = 1 for the candidate and t_s the mean place of its rounds in the order,

    y̅_s = α + δ x_s + β t_s + error,

by ordinary least squares: δ is the log ratio, β takes up a linear drift of the machine, and the interval is Student's
with (starts − 3) degrees of freedom. 3, 4, 6 and 8 rounds a side make 5, 6, 9 and 12 starts.
``benchmarks/speed_level.py`` shows the level that this holds, beside that of taking every round for a unit.

**Stored rounds** of a baseline against today's, on equal hardware: the larger one of Welch's (1947) standard error and
the pooled one, each with its own degrees of freedom; Welch's alone fails where few rounds happen to lie close together.
A single round of today has the spread of the baseline's. What differs between two starts or two days is in no round of
the baseline and so in no interval, unless the rounds were recorded with a restart before each.

Of throughputs a drop is a loss, of times a rise. H0 is "the loss is no more than the tolerance"; Holm's procedure holds
the family-wise error over all figures at all concurrencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtr, stdtrit

from pytest_speedbench.baselines.fingerprint import HardwareKey, hardware_differences
from pytest_speedbench.config import LEAST_ROUNDS
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.gate.multiplicity import holm_adjusted, holm_levels
from pytest_speedbench.gate.verdict import GatePolicy, Verdict
from pytest_speedbench.tolerance import SPEED_METRICS, Tolerance, parse_tolerance

if TYPE_CHECKING:
    from pytest_speedbench.baselines.rounds import RoundSpeeds
    from pytest_speedbench.baselines.schema import Baseline
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.metrics.rounds import RoundSpeed

OVERALL = "overall"
POWER = 0.8
_EXACT = 1e-9
"""A log ratio's standard error below which the rounds are taken to agree exactly: what rounding leaves."""

Figures = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class SpeedEstimate:
    """A log ratio with its uncertainty.

    Attributes:
        reference: log of the reference's figure.
        difference: log(candidate / reference).
        errors: standard errors of the difference, each with its degrees of freedom; the one that reaches further holds.
    """

    reference: float
    difference: float
    errors: tuple[tuple[float, float], ...]

    def p_value(self, boundary: float, sign: int) -> float:
        """One-sided p-value of ``sign · difference ≥ boundary``, in logs: small when it is surely below."""
        distance = sign * self.difference - boundary
        return max(_p_value(distance, error, freedom) for error, freedom in self.errors)

    def half_width(self, level: float) -> float:
        """How far the bound with the one-sided error ``level`` lies from the difference, in logs."""
        return max(error * -float(stdtrit(freedom, level)) for error, freedom in self.errors)

    def reach(self, level: float) -> float:
        """How far below the boundary, in logs, a test at ``level`` finds the difference with a probability of 80 %."""
        return max(
            error * (float(stdtrit(freedom, POWER)) - float(stdtrit(freedom, level))) for error, freedom in self.errors
        )


@dataclass(frozen=True, slots=True)
class TakenRound:
    """One round of an interleaved comparison. ``start`` numbers the starts of the engine, shared by adjacent rounds."""

    candidate: bool
    start: int
    speed: RoundSpeed


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Rounds of two sides at one concurrency, in the order measured.

    ``different_outputs`` is the number of prompts whose output, in the first round of each side, is not the same.
    """

    concurrency: int
    rounds: tuple[TakenRound, ...]
    different_outputs: int = 0

    def figures(self, metric: str) -> tuple[Figures, Figures]:
        """The reference's and the candidate's figures, by round."""
        reference, candidate = (
            tuple(getattr(taken.speed, metric) for taken in self.rounds if taken.candidate is side)
            for side in (False, True)
        )
        return reference, candidate

    def estimate(self, metric: str) -> SpeedEstimate:
        """The ratio of a figure that every round has.

        Raises:
            ValueError: a round without the figure, or fewer than four starts of the engine.
        """
        logs, places, sides = [], [], []
        for start in sorted({taken.start for taken in self.rounds}):
            inside = [(place, taken) for place, taken in enumerate(self.rounds) if taken.start == start]
            logs.append(fmean(_log(getattr(taken.speed, metric)) for _, taken in inside))
            places.append(fmean(place for place, _ in inside) - (len(self.rounds) - 1) / 2)
            sides.append(float(inside[0][1].candidate))
        return _least_squares(logs, sides, places)


@dataclass(frozen=True, slots=True)
class AgainstStored:
    """Today's rounds against those a baseline keeps, at one concurrency."""

    concurrency: int
    reference: RoundSpeeds
    candidate: RoundSpeeds

    def figures(self, metric: str) -> tuple[Figures, Figures]:
        """The reference's and the candidate's figures, by round."""
        return getattr(self.reference, metric), getattr(self.candidate, metric)

    def estimate(self, metric: str) -> SpeedEstimate:
        """The ratio of a figure that every round has.

        Raises:
            ValueError: a round without the figure.
        """
        before, after = ([_log(value) for value in values] for values in self.figures(metric))
        centre = fmean(before)
        return SpeedEstimate(centre, fmean(after) - centre, _two_sample_errors(before, after))


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """One figure at one concurrency. Figures are tokens per second or seconds.

    Attributes:
        metric: one of :data:`~pytest_speedbench.tolerance.SPEED_METRICS`.
        concurrency: conversations at a time.
        reference: the reference's figure, a geometric mean; of interleaved rounds, in the middle of the session.
        candidate: the candidate's; ``ratio`` times the reference's.
        reference_rounds: rounds of the reference.
        candidate_rounds: rounds of the candidate.
        ratio: candidate over reference, a linear drift of interleaved rounds taken out. Above 1 is a gain of a
            throughput, a loss of a time.
        lower: lower end of the ratio's interval, one-sided error ``level``.
        upper: upper end, likewise.
        tolerance: the accepted loss, as a share of the reference's figure; ``None`` for an absolute one where that
            figure is missing.
        p_value: one-sided, of a loss of no more than the tolerance.
        adjusted_p_value: Holm-adjusted over the family: a regression if at most the family-wise error.
        level: the one-sided error level of test and interval.
        verdict: what can be said.
        detectable_loss: the smallest true loss that a test like this one, with this noise and as many rounds, finds
            with a probability of 80 %; a share of the reference's figure, above 1 possible for times.
        reason: why data is missing, in words; otherwise empty. Then all figures that need it are ``None``.
    """

    metric: str
    concurrency: int
    reference: float | None
    candidate: float | None
    reference_rounds: int
    candidate_rounds: int
    ratio: float | None
    lower: float | None
    upper: float | None
    tolerance: float | None
    p_value: float | None
    adjusted_p_value: float | None
    level: float | None
    verdict: Verdict
    detectable_loss: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """The outcome of a speed comparison.

    Attributes:
        against: what was compared with, in words.
        rows: one per figure and concurrency; none if speeds were not comparable, which a note says.
        family: how many rows were tested together.
        policy: what counts as a loss, how sure, and what fails.
        notes: what a reader should know besides.
    """

    against: str
    rows: tuple[SpeedRow, ...]
    family: int
    policy: GatePolicy
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it does not pass: a regression, missing data, or, if the policy says so, something undecided.

        Speeds that may not be compared fail nothing.
        """
        return bool(self.failures)

    @property
    def failures(self) -> tuple[SpeedRow, ...]:
        """The rows that do not pass."""
        bad = {Verdict.REGRESSION, Verdict.MISSING}
        if self.policy.mode == "prove":
            bad.add(Verdict.UNDECIDED)
        return tuple(row for row in self.rows if row.verdict in bad)


def for_speed(tolerance: Any) -> Tolerance | None:
    """Rules given to a speed comparison, in any form; the plain one among them is meant for all its figures.

    Raises:
        ConfigError: they cannot be read, or the plain one is absolute, while the figures are in different units.
    """
    if tolerance is None:
        return None
    given = parse_tolerance(tolerance, "tolerance")
    plain = given.rules.get((None, None))
    if plain is None:
        return given
    if plain.absolute:
        raise ConfigError(
            f"A tolerance of {plain} cannot hold for tokens per second and for seconds.",
            'Name the figure, such as "ttft=0.05abs", or give a share such as 5%.',
        )
    return Tolerance({(metric, None): plain for metric in SPEED_METRICS}).overridden_by(given)


def incomparable_speed(baseline: Baseline, run: Run, asked: Sequence[str]) -> str:
    """Why a baseline's speed is no reference for a run's, as a note; empty if it is one.

    Args:
        baseline: the stored one.
        run: a run of today, for its hardware key.
        asked: the ids of all prompts that a round of today asks.
    """
    rounds = baseline.calibration.rounds if baseline.calibration else None
    differences = hardware_differences(baseline.comparable_hardware, HardwareKey.of(run))
    if differences:
        why = f"was recorded on other hardware: {'; '.join(map(str, differences))}"
    elif {prompt.id for prompt in baseline.prompts} != set(asked):
        why = "was recorded with other prompts"
    elif rounds is None:
        why = "keeps the speed of no rounds, so its noise is not known; record it with --speedbench-repeat"
    elif rounds.rounds < LEAST_ROUNDS:
        why = f"keeps the speed of {rounds.rounds} rounds, of at least {LEAST_ROUNDS}"
    else:
        return ""
    return f"Throughput is not gated: the baseline of {baseline.recorded.date} {why}."


def compare_speed(
    compared: Sequence[Interleaved | AgainstStored], policy: GatePolicy, *, against: str, notes: Sequence[str] = ()
) -> SpeedResult:
    """Judge every figure at every concurrency, as one family.

    A figure that the reference has in no round is not compared, and a note says so; one that the reference has and some
    round lacks is ``MISSING``.

    Raises:
        ValueError: no round on a side, or interleaved rounds of fewer than four starts of the engine.
    """
    rows: list[SpeedRow] = []
    estimates: list[SpeedEstimate | None] = []
    extra: list[str] = []
    for side_by_side in compared:
        if isinstance(side_by_side, Interleaved) and side_by_side.different_outputs:
            extra.append(_different_outputs(side_by_side))
        for metric in SPEED_METRICS:
            before, after = side_by_side.figures(metric)
            if not before or not after:
                raise ValueError("a side has no rounds")
            if all(value is None for value in before):
                extra.append(_not_compared(metric, side_by_side.concurrency))
                continue
            reason = _missing(before, after)
            estimate = None if reason else side_by_side.estimate(metric)
            estimates.append(estimate)
            rows.append(_row(metric, side_by_side.concurrency, before, after, estimate, policy, reason))
    judged = _judge(rows, estimates, policy.family_error)
    tested = sum(estimate is not None for estimate in estimates)
    return SpeedResult(against, tuple(judged), tested, policy, (*notes, *extra))


def _row(
    metric: str,
    concurrency: int,
    before: Figures,
    after: Figures,
    estimate: SpeedEstimate | None,
    policy: GatePolicy,
    reason: str,
) -> SpeedRow:
    """A row before it is judged."""
    allowed = policy.tolerance.of(metric, OVERALL)
    reference = exp(estimate.reference) if estimate else None
    share = allowed.relative_to(reference) if reference else None if allowed.absolute else allowed.value
    return SpeedRow(
        metric=metric,
        concurrency=concurrency,
        reference=reference,
        candidate=exp(estimate.reference + estimate.difference) if estimate else None,
        reference_rounds=len(before),
        candidate_rounds=len(after),
        ratio=exp(estimate.difference) if estimate else None,
        lower=None,
        upper=None,
        tolerance=share,
        p_value=estimate.p_value(_boundary(metric, share), _sign(metric)) if estimate and share is not None else None,
        adjusted_p_value=None,
        level=None,
        verdict=Verdict.MISSING,
        detectable_loss=None,
        reason=reason,
    )


def _judge(rows: Sequence[SpeedRow], estimates: Sequence[SpeedEstimate | None], family_error: float) -> list[SpeedRow]:
    p_values = [row.p_value for row in rows if row.p_value is not None]
    adjusted, levels = iter(holm_adjusted(p_values)), iter(holm_levels(p_values, family_error))
    judged = []
    for row, estimate in zip(rows, estimates, strict=True):
        if estimate is None or row.p_value is None or row.tolerance is None:
            judged.append(row)
            continue
        level = next(levels)
        half = estimate.half_width(level)
        sign, boundary = _sign(row.metric), _boundary(row.metric, row.tolerance)
        verdict = Verdict.UNDECIDED
        if row.p_value <= level:
            verdict = Verdict.REGRESSION
        elif sign * estimate.difference - half >= boundary:
            verdict = Verdict.NO_REGRESSION
        judged.append(
            replace(
                row,
                lower=exp(estimate.difference - half),
                upper=exp(estimate.difference + half),
                adjusted_p_value=next(adjusted),
                level=level,
                verdict=verdict,
                detectable_loss=abs(exp(sign * (boundary - estimate.reach(level))) - 1),
            )
        )
    return judged


def _sign(metric: str) -> int:
    """1 where more is better, −1 where it is worse."""
    return 1 if metric.endswith("_tps") else -1


def _boundary(metric: str, tolerance: float) -> float:
    """The accepted loss as a signed log ratio, at most 0."""
    if _sign(metric) < 0:
        return -log(1 + tolerance)
    return log(1 - tolerance) if tolerance < 1 else -inf


def _missing(before: Figures, after: Figures) -> str:
    """Which rounds lack a figure, in words; empty if none does."""
    parts = [
        f"{values.count(None)} of the {side}'s {len(values)} rounds"
        for side, values in (("reference", before), ("candidate", after))
        if None in values
    ]
    return f"no figure in {' and in '.join(parts)}" if parts else ""


def _not_compared(metric: str, concurrency: int) -> str:
    return f"{metric} at concurrency {concurrency} is not compared: the reference has none."


def _different_outputs(measured: Interleaved) -> str:
    return (
        f"{measured.different_outputs} prompts have other outputs on the two sides at concurrency "
        f"{measured.concurrency}: where these are longer, E2E is too."
    )


def _log(value: float | None) -> float:
    if value is None:
        raise ValueError("a round lacks the figure")
    return log(value)


def _p_value(distance: float, error: float, freedom: float) -> float:
    if error < _EXACT:
        return 0.0 if distance < -_EXACT else 1.0
    return float(stdtr(freedom, distance / error))


def _least_squares(logs: Sequence[float], sides: Sequence[float], places: Sequence[float]) -> SpeedEstimate:
    """Side and linear drift, the drift 0 in the middle."""
    freedom = len(logs) - 3
    if freedom < 1:
        raise ValueError(f"{len(logs)} starts of the engine leave nothing to tell noise from")
    terms = np.column_stack([np.ones(len(logs)), sides, places])
    values = np.asarray(logs)
    inverse = np.linalg.inv(terms.T @ terms)
    found = inverse @ terms.T @ values
    residuals = values - terms @ found
    error = sqrt(float(residuals @ residuals) / freedom * float(inverse[1, 1]))
    return SpeedEstimate(float(found[0]), float(found[1]), ((error, freedom),))


def _two_sample_errors(before: Sequence[float], after: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Pooled, and Welch's where both sides have a spread of their own."""
    n, m = len(before), len(after)
    v_before, v_after = variance(before), variance(after) if m > 1 else 0.0
    freedom = n + m - 2
    pooled = (sqrt(((n - 1) * v_before + (m - 1) * v_after) / freedom * (1 / n + 1 / m)), float(freedom))
    own = v_before / n, v_after / m
    if m < 2 or sum(own) == 0:
        return (pooled,)
    welch = sum(own) ** 2 / (own[0] ** 2 / (n - 1) + own[1] ** 2 / (m - 1))
    return pooled, (sqrt(sum(own)), welch)
