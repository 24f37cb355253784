"""From pairs of prompts to verdicts.

The family that the error level holds over is every category plus all prompts together. The overall row is in it because
a small drop everywhere shows there before any one category can show it; it costs each category next to nothing. Its
null hypothesis follows from theirs: if every category's drop is within its tolerance, so is the overall one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_speedbench.gate.statistics import MIN_PROMPTS, RatioTest, holm_adjusted, holm_levels
from pytest_speedbench.gate.verdict import GatePolicy, GateResult, GateRow, Mover, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.gate.pairing import Pairing, PromptPair

OVERALL = "overall"
NOT_DRAFTING_BELOW_AL = 1.05
_MOST_MOVERS = 5


def compare(pairing: Pairing, policy: GatePolicy | None = None) -> GateResult:
    """Judge every measured category, and all compared prompts together.

    The order of the prompts does not matter. Categories of fewer than three compared prompts cannot be tested: they are
    ``UNDECIDED`` unless every prompt is unchanged. Improvements never fail.

    Raises:
        ValueError: a prompt occurs twice.
    """
    policy = policy or GatePolicy()
    pairs = sorted(pairing.pairs, key=lambda pair: pair.question_id)
    if len({pair.question_id for pair in pairs}) < len(pairs):
        raise ValueError("a prompt occurs twice")
    categories = sorted({pair.category for pair in pairs})
    drafts = [_Draft(name, [pair for pair in pairs if pair.category == name], pairing, policy) for name in categories]
    compared = [draft for draft in drafts if not draft.problem]
    if len(compared) > 1:
        drafts.append(_Draft(OVERALL, [pair for draft in compared for pair in draft.usable], pairing, policy))
    rows = _judge(drafts, policy.family_error)
    overall = rows.pop() if len(compared) > 1 else None
    return GateResult(
        against=pairing.against,
        figure=pairing.figure,
        rows=tuple(rows),
        overall=overall,
        family=sum(draft.tested for draft in drafts),
        family_error=policy.family_error,
        notes=(*pairing.notes, *_notes(drafts)),
        update_hint=pairing.update_hint,
    )


class _Draft:
    """A row before Holm's correction has given it its level."""

    def __init__(self, name: str, pairs: Sequence[PromptPair], pairing: Pairing, policy: GatePolicy) -> None:
        self.name = name
        self.usable = [p for p in pairs if p.baseline_al is not None and p.candidate_al is not None and not p.problem]
        before = [p.baseline_al for p in self.usable if p.baseline_al is not None]
        after = [p.candidate_al for p in self.usable if p.candidate_al is not None]
        self.left_out = sum(not pair.problem for pair in pairs) - len(self.usable)
        self.of_prompts = max(len(pairs), pairing.baseline_prompts.get(name, 0))
        self.tolerance = policy.tolerance_of(name)
        if name == OVERALL:
            self.of_prompts = max(len(pairing.pairs), sum(pairing.baseline_prompts.values()))
            accepted = sum(al * policy.tolerance_of(p.category) for p, al in zip(self.usable, before, strict=True))
            self.tolerance = accepted / sum(before)
        self.problem = _problem(pairs, self.usable)
        self.baseline_al = fmean(before) if before else None
        self.candidate_al = fmean(after) if after else None
        self.unchanged = before == after
        self.test = RatioTest.of(before, after) if before else None

    @property
    def tested(self) -> bool:
        """Whether this row gets a p-value."""
        return not self.problem and self.test is not None and self.test.testable

    def row(self, p_value: float | None, adjusted: float | None, level: float | None) -> GateRow:
        """The finished row; the last three are ``None`` for a row that was not tested."""
        row = GateRow(
            name=self.name,
            prompts=len(self.usable),
            of_prompts=self.of_prompts,
            baseline_al=self.baseline_al,
            candidate_al=self.candidate_al,
            change=self.test.ratio - 1 if self.test else None,
            lower=None,
            upper=None,
            tolerance=self.tolerance,
            p_value=p_value,
            adjusted_p_value=adjusted,
            level=level,
            verdict=Verdict.MISSING if self.problem else Verdict.UNDECIDED,
            detectable_drop=None,
            reason=self.problem,
            movers=_movers(self.usable),
        )
        if self.test is None or self.problem:
            return row
        if level is None or p_value is None:
            if self.unchanged:
                return replace(row, lower=0.0, upper=0.0, verdict=Verdict.NO_REGRESSION)
            return replace(row, reason=f"fewer than {MIN_PROMPTS} prompts to compare")
        lower, upper = self.test.interval(level)
        verdict = Verdict.UNDECIDED
        if p_value <= level:
            verdict = Verdict.REGRESSION
        elif lower - 1 >= -self.tolerance:
            verdict = Verdict.NO_REGRESSION
        return replace(
            row,
            lower=lower - 1,
            upper=upper - 1,
            verdict=verdict,
            detectable_drop=self.test.detectable_drop(self.tolerance, level),
        )


def _judge(drafts: Sequence[_Draft], family_error: float) -> list[GateRow]:
    p_values = [draft.test.p_value(1 - draft.tolerance) for draft in drafts if draft.tested and draft.test]
    adjusted, levels = holm_adjusted(p_values), holm_levels(p_values, family_error)
    judged = iter(zip(p_values, adjusted, levels, strict=True))
    return [draft.row(*next(judged)) if draft.tested else draft.row(None, None, None) for draft in drafts]


def _problem(pairs: Sequence[PromptPair], usable: Sequence[PromptPair]) -> str:
    problems = Counter(pair.problem for pair in pairs if pair.problem)
    if problems:
        problem, count = problems.most_common(1)[0]
        return f"{count} of {len(pairs)} prompts: {problem}"
    return "" if usable else "no prompt that both sides decoded a step of"


def _movers(usable: Sequence[PromptPair]) -> tuple[Mover, ...]:
    movers = [
        Mover(p.question_id, p.baseline_al, p.candidate_al, p.baseline_steps, p.candidate_steps, p.turns)
        for p in usable
        if p.baseline_al is not None and p.candidate_al is not None
    ]
    sign = 1 if sum(mover.candidate_al - mover.baseline_al for mover in movers) > 0 else -1
    # Rounded, so that equal moves are ordered by name and not by the last bit.
    moves = [(round(sign * (mover.candidate_al - mover.baseline_al), 9), mover) for mover in movers]
    strongest = sorted(moves, key=lambda move: (-move[0], move[1].question_id))[:_MOST_MOVERS]
    return tuple(mover for move, mover in strongest if move > 0)


def _notes(drafts: Sequence[_Draft]) -> list[str]:
    idle = [
        draft.name for draft in drafts if draft.candidate_al is not None and draft.candidate_al < NOT_DRAFTING_BELOW_AL
    ]
    notes = []
    if idle:
        notes.append(
            f"Hardly any draft token is accepted in {', '.join(idle)}: the drafter is probably not working there "
            "(wrong weights, vocabulary map or hidden-state layers?)."
        )
    left_out = sum(draft.left_out for draft in drafts)
    if left_out:
        notes.append(f"{left_out} prompts were left out: they ended before the first decode step on one side or both.")
    return notes
