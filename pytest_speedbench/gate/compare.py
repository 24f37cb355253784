"""From pairs of prompts to verdicts.

The family that the error level holds over is every gated figure of every category and of all prompts together. The
overall row is in it because a small drop everywhere shows there before any one category can show it. Both acceptance
lengths are in it because they answer different questions, and because the pooled one has the smaller error where
prompts are of unequal length: long answers hold more steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

from scipy.special import stdtrit

from pytest_speedbench.gate.effects import Common, Estimate, LogRatio, RunNoise
from pytest_speedbench.gate.figures import LENGTHS, rate_metric
from pytest_speedbench.gate.multiplicity import holm_adjusted, holm_levels
from pytest_speedbench.gate.noise import OVERALL, shared_noise
from pytest_speedbench.gate.outputs import judge_outputs
from pytest_speedbench.gate.rows import LEAST_SHARE, Row, make_rows
from pytest_speedbench.gate.verdict import Change, GatePolicy, GateResult, GateRow, Verdict
from pytest_speedbench.metrics.degenerate import NOT_DRAFTING_BELOW_AL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_speedbench.gate.pairing import Pairing


_SMALL_WIDTH = 1e-3


@dataclass(frozen=True, slots=True)
class Look:
    """One figure of one row, seen once.

    Attributes:
        ratio: how it changed.
        estimate: the same with its moderated variance.
        boundary: the ratio at which the drop is just the tolerance.
        share: the part of the row's error that this look may use; all looks' shares add up to 1.
        near_ties: what rounding may add where outputs were replayed; it is in the estimate.
        prompt_ids: the prompts that were compared.
    """

    ratio: LogRatio
    estimate: Estimate
    boundary: float
    share: float = 1.0
    near_ties: RunNoise | None = None
    prompt_ids: tuple[str, ...] = ()

    @property
    def p_value(self) -> float:
        """One-sided p-value over the look's share: at most the row's level where this look finds a regression."""
        return min(1.0, self.estimate.p_value(self.boundary) / self.share)

    def near_tie_width(self, level: float) -> float | None:
        """How far near ties alone may move the figure, as a share of it; ``None`` for not at all."""
        if self.near_ties is None or not self.near_ties.variance:
            return None
        quantile = -float(stdtrit(self.near_ties.freedom, level))
        return quantile * sqrt(self.near_ties.variance)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All looks at one figure of one row, in their order, and the one that was surest of a regression."""

    looks: tuple[Look, ...]
    surest: Look

    @classmethod
    def of(cls, look: Look) -> Outcome:
        """Of the first look."""
        return cls((look,), look)

    @property
    def latest(self) -> Look:
        """The last look."""
        return self.looks[-1]

    def after(self, look: Look) -> Outcome:
        """With one more look."""
        return Outcome((*self.looks, look), look if look.p_value < self.surest.p_value else self.surest)

    def at(self, prompt_ids: tuple[str, ...]) -> Look:
        """The look at these prompts; the latest if there was none."""
        return next((look for look in self.looks if look.prompt_ids == prompt_ids), self.latest)


def compare(pairing: Pairing, policy: GatePolicy | None = None) -> GateResult:
    """Judge every measured category, and all compared prompts together.

    The order of the prompts does not matter. Categories of fewer than three compared prompts cannot be tested: they are
    ``UNDECIDED`` unless every prompt is unchanged. Improvements never fail.

    Raises:
        ValueError: a prompt occurs twice.
    """
    policy = policy or GatePolicy()
    rows = make_rows(pairing, policy.tolerance)
    looks = look_at(rows, metrics_of(pairing, policy), pairing)
    return judged(rows, {key: Outcome.of(look) for key, look in looks.items()}, pairing, policy)


def looks_of(pairing: Pairing, policy: GatePolicy) -> dict[tuple[str, str], Look]:
    """Every figure of every row that can be tested, by row and figure, for statements at a level of one's own.

    Raises:
        ValueError: a prompt occurs twice.
    """
    return look_at(make_rows(pairing, policy.tolerance), metrics_of(pairing, policy), pairing)


def metrics_of(pairing: Pairing, policy: GatePolicy) -> tuple[str, ...]:
    """The gated figures: both lengths, and the acceptance rates that a tolerance names; against a table its own."""
    if pairing.basis == "aggregate":
        return LENGTHS[:1]
    rates = (rate_metric(position) for position in range(1, pairing.draft_length + 1))
    return (*LENGTHS, *(metric for metric in rates if policy.tolerance.gates(metric)))


def look_at(
    rows: Sequence[Row],
    metrics: Sequence[str],
    pairing: Pairing,
    *,
    only: frozenset[str] | None = None,
    share: float = 1.0,
    early: bool = False,
) -> dict[tuple[str, str], Look]:
    """Look once at every figure of the rows that can be tested, or of ``only`` some; the rest lends its dispersion."""
    looks: dict[tuple[str, str], Look] = {}
    for metric in metrics:
        ratios = {row.name: row.ratio(metric) for row in rows if row.tested}
        common = Common.of(ratio for name, ratio in ratios.items() if ratio is not None and name != OVERALL)
        for row in rows:
            ratio = ratios.get(row.name)
            if ratio is None or (only is not None and row.name not in only) or not row.gates(metric):
                continue
            noise = shared_noise(pairing.noise, row.name, metric)
            shared = replace(common, skewness=None) if row.of_all else common
            estimate = Estimate.of(ratio, shared, early=early, whole=row.whole).with_noise(noise)
            ties = RunNoise(row.near_tie_variance(metric), estimate.freedom)
            boundary = max(1e-9, 1 - row.accepted_drop(metric, ratio.baseline))
            ids = tuple(pair.question_id for pair in row.usable)
            looks[row.name, metric] = Look(ratio, estimate.with_noise(ties), boundary, share, ties, ids)
    return looks


def judged(
    rows: Sequence[Row],
    outcomes: Mapping[tuple[str, str], Outcome],
    pairing: Pairing,
    policy: GatePolicy,
    *,
    stopped: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
) -> GateResult:
    """Verdicts on all rows together, by Holm's procedure. ``stopped`` rows had so many prompts planned."""
    keys = list(outcomes)
    p_values = [outcomes[key].surest.p_value for key in keys]
    adjusted = dict(zip(keys, holm_adjusted(p_values), strict=True))
    levels = dict(zip(keys, holm_levels(p_values, policy.family_error), strict=True))
    metrics = metrics_of(pairing, policy)
    found = []
    for row in rows:
        own = [key for key in keys if key[0] == row.name]
        seen = _look_shown([(outcomes[key], levels[key]) for key in own])
        changes = [_change(key, outcomes[key], seen, levels[key], adjusted[key]) for key in own]
        lacking = [metric for metric in metrics if row.gates(metric) and (row.name, metric) not in outcomes]
        found.append(replace(_finished(row, changes, lacking, stopped or {}), prompt_ids=seen))
    overall = found.pop() if rows and rows[-1].name == OVERALL and rows[-1].of_all else None
    return GateResult(
        against=pairing.against,
        figure=pairing.figure,
        rows=tuple(found),
        overall=overall,
        family=len(keys),
        family_error=policy.family_error,
        mode=policy.mode,
        basis=pairing.basis,
        notes=(
            *pairing.notes,
            *notes,
            *_notes(rows),
            *_near_tie_notes(rows, [*found, *([overall] if overall else [])]),
        ),
        update_hint=pairing.update_hint,
        outputs=judge_outputs(pairing.outputs, policy.outputs, policy.family_error),
        same_drafts=pairing.same_drafts,
    )


def _look_shown(outcomes: Sequence[tuple[Outcome, float]]) -> tuple[str, ...]:
    """The prompts of the one look of which a row shows all figures: the surest of a regression, else the latest."""
    regressed = [outcome.surest for outcome, level in outcomes if outcome.surest.p_value <= level]
    if regressed:
        return min(regressed, key=lambda look: look.p_value).prompt_ids
    return outcomes[0][0].latest.prompt_ids if outcomes else ()


def _change(key: tuple[str, str], outcome: Outcome, seen: tuple[str, ...], level: float, adjusted: float) -> Change:
    look = outcome.at(seen)
    regressed = look.p_value <= level
    tolerance = 1 - look.boundary
    lower, upper = look.estimate.interval(level * look.share)
    verdict = Verdict.UNDECIDED
    if regressed:
        verdict = Verdict.REGRESSION
    elif lower >= look.boundary and outcome.surest.p_value > level:
        verdict = Verdict.NO_REGRESSION
    return Change(
        metric=key[1],
        prompts=look.ratio.prompts,
        baseline=look.ratio.baseline,
        candidate=look.ratio.candidate,
        lower=lower - 1,
        upper=upper - 1,
        tolerance=tolerance,
        p_value=look.p_value if regressed else outcome.surest.p_value,
        adjusted_p_value=adjusted,
        level=level * look.share,
        verdict=verdict,
        detectable_drop=look.estimate.detectable_drop(tolerance, level * look.share),
        near_ties=look.near_tie_width(level * look.share),
    )


def _finished(row: Row, changes: Sequence[Change], lacking: Sequence[str], stopped: Mapping[str, int]) -> GateRow:
    if row.problem or not changes:
        return row.untested()
    verdicts = {change.verdict for change in changes}
    order = (Verdict.REGRESSION, Verdict.UNDECIDED, Verdict.NO_REGRESSION)
    verdict, reason = next(verdict for verdict in order if verdict in verdicts), ""
    if lacking and verdict is not Verdict.REGRESSION:
        verdict, reason = Verdict.MISSING, f"no step of one side got as far as {', '.join(lacking).upper()} needs"
    return GateRow(
        name=row.name,
        prompts=max(change.prompts for change in changes),
        of_prompts=max(row.of_prompts, stopped.get(row.name, 0)),
        changes=tuple(changes),
        verdict=verdict,
        reason=reason,
        stopped=row.name in stopped,
    )


def _near_tie_notes(rows: Sequence[Row], judged_rows: Sequence[GateRow]) -> list[str]:
    """How far other texts of the target may move what was replayed, or that it cannot be said."""
    if any(pair.exposed is None for row in rows for pair in row.usable):
        return [
            "The outputs were replayed, and how far another rounding of the target could move the figures is not known "
            "(the file of outputs has no margins, or the dtype is not known): the intervals do not allow for it."
        ]
    widths = {row.name: row.changes[0].near_ties for row in judged_rows if row.changes}
    known = {name: width for name, width in widths.items() if width is not None}
    if not known:
        return []
    most = max(known, key=lambda name: known[name])
    overall = f"overall by {_in_words(known[OVERALL])}, " if OVERALL in known and most != OVERALL else ""
    return [
        "The outputs were replayed: where the target is near a tie, an engine may put out another text, which may move "
        f"the lengths, {overall}most in {most}, by {_in_words(known[most])}. The intervals allow for it."
    ]


def _in_words(width: float) -> str:
    """A width as a percentage."""
    return f"±{width:.1%}" if width >= _SMALL_WIDTH else f"less than ±{_SMALL_WIDTH:.2%}"


def _notes(rows: Sequence[Row]) -> list[str]:
    idle = [row.name for row in rows if row.candidate_al is not None and row.candidate_al < NOT_DRAFTING_BELOW_AL]
    notes = []
    if idle:
        notes.append(
            f"Hardly any draft token is accepted in {', '.join(idle)}: the drafter is probably not working there "
            "(wrong weights, vocabulary map or hidden-state layers?)."
        )
    gaps: Counter[str] = Counter()
    for row in rows:
        if not row.of_all:
            gaps += row.gaps
    if gaps:
        why = ", ".join(f"{count} {gap}" for gap, count in gaps.most_common())
        notes.append(
            f"{gaps.total()} prompts were left out: {why}. A verdict needs {float(LEAST_SHARE):.0%} of its prompts."
        )
    return notes
