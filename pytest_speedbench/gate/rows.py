"""What is judged by itself: each category, and all prompts together."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from pytest_speedbench.gate.effects import MIN_PROMPTS, LogRatio
from pytest_speedbench.gate.figures import AL_MACRO, LENGTHS, paired_change, sums, unpaired_change
from pytest_speedbench.gate.noise import OVERALL
from pytest_speedbench.gate.verdict import Change, GateRow, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.gate.counts import StepCounts
    from pytest_speedbench.gate.pairing import Pairing, PromptPair
    from pytest_speedbench.gate.verdict import Basis
    from pytest_speedbench.tolerance import Tolerance


LEAST_SHARE = Fraction(4, 5)
"""A verdict needs data of so many of the prompts that were asked, on both sides.

At four fifths the smallest drop that would be found is an eighth larger than with all of them (1 / √0.8), and a few
outputs that rounding ends at their first token stop no release. With fewer, a verdict is one on other prompts than its
name says.
"""

_ON_NEITHER = "without a verify step on either side"


class Row:
    """One category's prompts, or those of all categories that can be compared, with what is accepted of them.

    Args:
        name: the category, or ``overall``.
        pairs: all its prompts.
        pairing: where they are from.
        tolerance: the accepted drops.
        parts: of ``overall``, the categories' rows; those with a problem lend it no prompts.
    """

    def __init__(
        self, name: str, pairs: Sequence[PromptPair], pairing: Pairing, tolerance: Tolerance, parts: Sequence[Row] = ()
    ) -> None:
        self.name = name
        self.of_all = bool(parts)
        self._basis: Basis = pairing.basis
        self._tolerance = tolerance
        self._published = pairing.published.get(name)
        self._pairs = pairs
        compared = [pair for row in parts if not row.problem for pair in row.usable]
        self.usable: list[PromptPair] = compared if parts else [pair for pair in pairs if self._is_usable(pair)]
        self.before: list[StepCounts] = [pair.before for pair in self.usable if pair.before is not None]
        self.after: list[StepCounts] = [pair.after for pair in self.usable if pair.after is not None]
        self.gaps = Counter(gap for pair in pairs if not pair.problem and (gap := self._gap(pair)))
        baseline = sum(pairing.baseline_prompts.values()) if parts else pairing.baseline_prompts.get(name, 0)
        own = len(self.after) if pairing.basis == "unpaired" else len(pairs)
        self.of_prompts = max(own, baseline)
        self.problem: str = self._problem()
        known = len(self.usable) + self.gaps[_ON_NEITHER]
        self.whole: bool = all(row.whole for row in parts) if parts else known >= max(len(pairs), baseline)

    @property
    def prompts(self) -> int:
        """Prompts compared; of the smaller side, if they are different ones."""
        if self._basis == "aggregate":
            return len(self.after)
        return min(len(self.before), len(self.after))

    @property
    def tested(self) -> bool:
        """Whether there are figures on both sides, and prompts enough for a p-value and an interval."""
        return not self.problem and self.prompts >= MIN_PROMPTS

    @property
    def candidate_al(self) -> float | None:
        """Mean length now; ``None`` without any."""
        return fmean(count.length for count in self.after) if self.after else None

    def gates(self, metric: str) -> bool:
        """Whether this figure is to be judged here."""
        if metric in LENGTHS:
            return True
        return self._tolerance.gates(metric, None if self.of_all else self.name)

    def ratio(self, metric: str) -> LogRatio | None:
        """How the figure changed; ``None`` where a side has nothing of it, such as steps that reached a position."""
        try:
            if self._basis == "aggregate":
                return LogRatio.to_constant(self._published, sums(metric, self.after)) if self._published else None
            change = paired_change if self._basis == "paired" else unpaired_change
            return change(metric, self.before, self.after)
        except ValueError:
            return None

    def accepted_drop(self, metric: str, baseline: float) -> float:
        """The tolerance as a share of the baseline's figure; of all prompts, the mean of their categories'."""
        if not self.of_all:
            return self._tolerance.of(metric, self.name).relative_to(baseline)
        counts = [(pair.category, pair.before or pair.after) for pair in self.usable]
        weights = [(category, count.length) for category, count in counts if count is not None]
        accepted = sum(
            weight * self._tolerance.of(metric, category).relative_to(baseline) for category, weight in weights
        )
        return accepted / sum(weight for _, weight in weights)

    def near_tie_variance(self, metric: str) -> float:
        """What rounding may add to the variance of the figure's logarithm, where outputs were replayed.

        The steps after a token that rounding turned over are decoded anew, to another text of the same prompt: of the
        share e_i of prompt i's steps the difference of two such texts. With v_i the variance of what a prompt adds to
        the figure if it was decoded anew, that is Σ e_i 2 v_i, linear in e_i because steps add up. Where prompts weigh
        by their steps, the new text may also be longer or shorter: of what the prompt adds to the figure's change, ψ_i,
        up to once itself is added or lost, e_i ψ_i². Exposures that are not known add nothing; the notes say so.
        """
        exposed = [pair.exposed or 0.0 for pair in self.usable if pair.after is not None]
        if not any(exposed):
            return 0.0
        table, shares = sums(metric, self.after), np.array(exposed)
        variance = float((shares * 2 * table.scatter).sum()) / float(table.over.sum()) ** 2
        if metric != AL_MACRO:
            variance += float((shares * table.influence**2).sum())
        return variance

    def untested(self) -> GateRow:
        """The finished row where nothing could be tested. Prompts that did not change at all are no regression."""
        verdict, reason, changes = Verdict.UNDECIDED, f"fewer than {MIN_PROMPTS} prompts to compare", []
        if self.problem:
            verdict, reason = Verdict.MISSING, self.problem
        else:
            ratio = self.ratio(AL_MACRO)
            if ratio is not None:
                unchanged = self._basis == "paired" and not ratio.changed and self.whole
                verdict, reason = (Verdict.NO_REGRESSION, "") if unchanged else (verdict, reason)
                changes = [_untested_change(ratio, self.accepted_drop(AL_MACRO, ratio.baseline), unchanged=unchanged)]
        return GateRow(self.name, self.prompts, self.of_prompts, tuple(changes), verdict, reason)

    def _is_usable(self, pair: PromptPair) -> bool:
        if pair.problem:
            return False
        if self._basis == "paired":
            return pair.before is not None and pair.after is not None
        return pair.before is not None or pair.after is not None

    def _gap(self, pair: PromptPair) -> str:
        """Why a prompt without a problem says nothing, in words; empty if it says something."""
        if self._is_usable(pair):
            return ""
        if self._basis != "paired":
            return "without a verify step"
        if not pair.in_baseline:
            return "not in the baseline"
        if pair.before is None and pair.after is None:
            return _ON_NEITHER
        return "without a verify step now" if pair.after is None else "without a verify step in the baseline only"

    def _problem(self) -> str:
        problems = Counter(pair.problem for pair in self._pairs if pair.problem)
        if problems and not self.of_all:
            problem, count = problems.most_common(1)[0]
            return f"{count} of {len(self._pairs)} prompts: {problem}"
        if self._basis == "aggregate" and self._published is None:
            return "the table does not have this category"
        if not self.prompts and self._basis == "unpaired":
            return "one side has no prompt of this category that decoded a step"
        if not self.prompts and set(self.gaps) == {_ON_NEITHER}:
            return "no prompt that both sides decoded a step of"
        return self._too_few()

    def _too_few(self) -> str:
        """Why less than the least share of the prompts has data, by side where they are different ones; else empty."""
        asked, compared = Counter(self._side(pair) for pair in self._pairs), Counter(map(self._side, self.usable))
        for side, count in asked.items():
            if compared[side] < LEAST_SHARE * count:
                gaps = Counter(gap for pair in self._pairs if self._side(pair) == side and (gap := self._gap(pair)))
                why = [f"{prompts} {gap}" for gap, prompts in gaps.most_common()]
                if self.of_all:
                    without = {pair.category for pair in self._pairs} - {pair.category for pair in self.usable}
                    why = [f"none of {category}" for category in sorted(without)]
                return (
                    f"{compared[side]} of {count} prompts{side} can be compared, and a verdict needs "
                    f"{float(LEAST_SHARE):.0%} of them" + (f": {', '.join(why)}" if why else "")
                )
        return ""

    def _side(self, pair: PromptPair) -> str:
        """Which of two sets of prompts it is from, in words; there is one where both sides have the same."""
        if self._basis != "unpaired":
            return ""
        return " now" if pair.later else " of the baseline"


def make_rows(pairing: Pairing, tolerance: Tolerance) -> list[Row]:
    """The categories in alphabetical order, then all prompts together, if several categories can be compared.

    Raises:
        ValueError: a prompt occurs twice.
    """
    pairs = sorted(pairing.pairs, key=lambda pair: pair.question_id)
    unpaired = pairing.basis == "unpaired"
    seen = {(pair.question_id, unpaired and pair.later) for pair in pairs}
    if len(seen) < len(pairs):
        raise ValueError("a prompt occurs twice")
    categories = sorted({pair.category for pair in pairs})
    rows = [Row(name, [p for p in pairs if p.category == name], pairing, tolerance) for name in categories]
    several = sum(not row.problem for row in rows) > 1
    if pairing.together and several and (pairing.basis != "aggregate" or OVERALL in pairing.published):
        rows.append(Row(OVERALL, pairs, pairing, tolerance, rows))
    return rows


def _untested_change(ratio: LogRatio, tolerance: float, *, unchanged: bool) -> Change:
    return Change(
        metric=AL_MACRO,
        prompts=ratio.prompts,
        baseline=ratio.baseline,
        candidate=ratio.candidate,
        lower=0.0 if unchanged else None,
        upper=0.0 if unchanged else None,
        tolerance=tolerance,
        p_value=None,
        adjusted_p_value=None,
        level=None,
        verdict=Verdict.NO_REGRESSION if unchanged else Verdict.UNDECIDED,
        detectable_drop=None,
    )
