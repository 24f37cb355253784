"""The gate over stored counts of injected regressions: do its intervals cover the truth, and what does it call?"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle.counts import PromptId, Row, prompts_from_json
from oracle.gating import Judgement, judge
from oracle.truth import OVERALL, Figures, true_changes
from pytest_speedbench.gate import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BASELINE = "baseline"
HEAD = "head"
ORACLE = "oracle"
SUBSET_SIZE = 8
SUBSETS = 50
ALONE_ERROR = 0.05
"""For rows judged on their own: about 2.5 % on either side of two figures, intervals of 95 %."""
_ROUNDING = 1e-9


@dataclass
class Coverage:
    """How many intervals cover the truth, and how many should."""

    covers: list[bool] = field(default_factory=list)
    nominal: list[float] = field(default_factory=list)

    def add(self, judgement: Judgement, truth: Figures) -> bool:
        """Count every interval; returns whether all cover. A figure whose truth is not known is left out."""
        found = []
        for figure in judgement.figures:
            change = truth.get((figure.row, figure.metric))
            if figure.interval is not None and figure.level is not None and change is not None:
                lower, upper = figure.interval
                found.append(lower - _ROUNDING <= change <= upper + _ROUNDING)
                self.nominal.append(1 - 2 * figure.level)
        self.covers += found
        return all(found)

    def summary(self) -> dict[str, float | int]:
        """Numbers for a file."""
        shares = {"covered": fmean(self.covers), "nominal": fmean(self.nominal)} if self.covers else {}
        return {"intervals": len(self.covers), **{name: round(share, 4) for name, share in shares.items()}}

    def __str__(self) -> str:
        return f"{fmean(self.covers):.1%} ({fmean(self.nominal):.1%})" if self.covers else "–"


@dataclass
class Tally:
    """What became of many comparisons with one truth."""

    truth: Figures
    failed: list[bool] = field(default_factory=list)
    all_covered: list[bool] = field(default_factory=list)
    together: Coverage = field(default_factory=Coverage)
    categories_alone: Coverage = field(default_factory=Coverage)
    overall_alone: Coverage = field(default_factory=Coverage)
    verdicts: dict[str, Counter[Verdict]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, prompts: Sequence[PromptId], before: Sequence[Row], after: Sequence[Row]) -> None:
        """Judge one pair of runs as a gate would, and every row of it on its own."""
        judgement = judge(prompts, before, after)
        for name, verdict in judgement.verdicts.items():
            changed = self.truth[name, "al_macro"] < 0
            self.verdicts[OVERALL if name == OVERALL else "changed" if changed else "unchanged"][verdict] += 1
        self.failed.append(judgement.failed)
        self.all_covered.append(self.together.add(judgement, self.truth))
        for name, part in judged_alone(prompts, before, after):
            (self.overall_alone if name == OVERALL else self.categories_alone).add(part, self.truth)

    def called(self, kind: str) -> float | None:
        """The share of such rows that were called a regression; ``None`` without such rows."""
        counts = self.verdicts.get(kind)
        return counts[Verdict.REGRESSION] / counts.total() if counts else None

    def summary(self) -> dict[str, Any]:
        """Numbers for a file."""
        return {
            "true_change": {f"{row} {metric}": round(change, 6) for (row, metric), change in self.truth.items()},
            "comparisons": len(self.failed),
            "failed": sum(self.failed),
            "with_all_covered": sum(self.all_covered),
            "intervals_together": self.together.summary(),
            "categories_alone": self.categories_alone.summary(),
            "overall_alone": self.overall_alone.summary(),
            "verdicts": {
                kind: {verdict.value: count for verdict, count in counts.items()}
                for kind, counts in self.verdicts.items()
            },
        }


def analyse(stored: Mapping[str, Any]) -> dict[str, Tally]:
    """Judge every stored comparison, print what came out, and return it by what was injected."""
    prompts = prompts_from_json(stored["prompts"])
    tallies = {**judge_oracle(stored, prompts), **judge_heads(stored, prompts)}
    _print(tallies)
    return tallies


def judge_oracle(stored: Mapping[str, Any], prompts: Sequence[PromptId]) -> dict[str, Tally]:
    """Each condition's repetition against the baseline's of the same number, all independent of each other."""
    oracle = stored["oracle"]
    runs: Mapping[str, list[list[Row]]] = oracle["runs"]
    correct, lengths = oracle["correct"], oracle["turn_tokens"]
    tallies = {}
    for name, repetitions in runs.items():
        if name == BASELINE:
            continue
        truth = true_changes(prompts, lengths, correct[BASELINE], correct[name], stored["draft_length"])
        tally = tallies[f"{ORACLE}, {name}"] = Tally(truth)
        for before, after in zip(runs[BASELINE], repetitions, strict=False):
            tally.add(prompts, before, after)
    return tallies


def judge_heads(stored: Mapping[str, Any], prompts: Sequence[PromptId]) -> dict[str, Tally]:
    """Random halves of every category; the change over the whole split is the truth.

    A half of so few prompts is closer to the whole than to the population: coverage should be above nominal.
    """
    runs: Mapping[str, list[Row]] = stored["heads"]["runs"]
    tallies = {}
    for name, rows in runs.items():
        if name == HEAD:
            continue
        whole = judge(prompts, runs[HEAD], rows)
        truth = {(figure.row, figure.metric): figure.change for figure in whole.figures}
        tally = tallies[f"{HEAD}, {name}"] = Tally(truth)
        for seed in range(SUBSETS):
            chosen = subset(prompts, seed)
            before, after = ([side[index] for index in chosen] for side in (runs[HEAD], rows))
            tally.add([prompts[index] for index in chosen], before, after)
    return tallies


def judged_alone(
    prompts: Sequence[PromptId], before: Sequence[Row], after: Sequence[Row]
) -> Iterable[tuple[str, Judgement]]:
    """Every category on its own, then all prompts as if they were one category, with intervals of about 95 %."""
    groups = {name: [index for index, p in enumerate(prompts) if p.category == name] for name in _categories(prompts)}
    for name, indices in (*groups.items(), (OVERALL, list(range(len(prompts))))):
        part = [replace(prompts[index], category=name) for index in indices]
        ours, theirs = ([side[index] for index in indices] for side in (before, after))
        yield name, judge(part, ours, theirs, family_error=ALONE_ERROR)


def subset(prompts: Sequence[PromptId], seed: int) -> list[int]:
    """Indices of a random part of every category."""
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice([index for index, p in enumerate(prompts) if p.category == name], SUBSET_SIZE, replace=False)
        for name in _categories(prompts)
    ]
    return sorted(int(index) for part in chosen for index in part)


def _categories(prompts: Sequence[PromptId]) -> list[str]:
    return sorted({prompt.category for prompt in prompts})


def _print(tallies: Mapping[str, Tally]) -> None:
    print(
        f"{'injected':22}{'truth':>8}{'compared':>9}{'covered (nominal)':>19}{'all':>7}{'category alone':>18}"
        f"{'overall alone':>18}{'fails':>7}{'found':>7}{'overall':>8}{'false':>7}"
    )
    for name, tally in tallies.items():
        shares = (tally.called("changed"), tally.called(OVERALL), tally.called("unchanged"))
        found, overall, false = ("–" if share is None else f"{share:.0%}" for share in shares)
        print(
            f"{name:22}{tally.truth[OVERALL, 'al_macro']:>8.1%}{len(tally.failed):>9}{tally.together!s:>19}"
            f"{fmean(tally.all_covered):>7.0%}{tally.categories_alone!s:>18}{tally.overall_alone!s:>18}"
            f"{fmean(tally.failed):>7.0%}{found:>7}{overall:>8}{false:>7}"
        )
    alone = Coverage()
    for name, tally in tallies.items():
        if name.startswith(ORACLE):
            alone.covers += tally.categories_alone.covers
            alone.nominal += tally.categories_alone.nominal
    print(f"all oracles, categories alone: {alone} of {len(alone.covers)} intervals")
    print(
        "truth: the true change of the overall al_macro; covered: intervals of a comparison that hold the truth;\n"
        "all: comparisons whose intervals all do; alone: rows judged on their own; fails: comparisons that fail;\n"
        "found, overall, false: changed categories, the overall row and unchanged categories called a regression"
    )
