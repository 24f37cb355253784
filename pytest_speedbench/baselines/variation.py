"""How much the figures of a calibrated baseline vary from run to run, by category."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from pytest_speedbench.metrics.acceptance import AcceptanceFigures, mean_of_all, summarize_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.baselines.schema import Baseline


@dataclass(frozen=True, slots=True)
class Variation:
    """The variation of one category's figures, or of all prompts'. What cannot be known is ``None``.

    Attributes:
        name: the category; empty for all prompts together.
        prompts: how many it has.
        changed_counts: share of (prompt, further run) whose counts are not the first run's.
        al_macro: mean over runs.
        al_macro_cv: standard deviation between runs (n − 1) as a share of that mean.
        al_pooled_cv: the same of the acceptance length over all verify steps.
    """

    name: str
    prompts: int
    changed_counts: float
    al_macro: float | None
    al_macro_cv: float | None
    al_pooled_cv: float | None


def run_to_run(baseline: Baseline) -> tuple[Variation, ...]:
    """A row per category, in alphabetical order, then one for all prompts; none for an uncalibrated baseline."""
    calibration = baseline.calibration
    if calibration is None:
        return ()
    categories = {prompt.id: prompt.category for prompt in baseline.prompts}
    changed = Counter(categories[name] for repeat in calibration.repeats for name in repeat)
    records = [(prompt.category, baseline.records(prompt)) for prompt in baseline.prompts]
    runs = [summarize_records((category, rows[run]) for category, rows in records) for run in range(calibration.runs)]
    further = calibration.runs - 1

    def row(name: str, changes: int, figures: Sequence[AcceptanceFigures]) -> Variation:
        prompts = figures[0].conversations
        macro = [run.al_macro for run in figures]
        return Variation(
            name=name,
            prompts=prompts,
            changed_counts=changes / (prompts * further),
            al_macro=mean_of_all(macro),
            al_macro_cv=coefficient_of_variation(macro),
            al_pooled_cv=coefficient_of_variation([run.al_pooled for run in figures]),
        )

    rows = [row(name, changed[name], [run.by_category[name] for run in runs]) for name in runs[0].by_category]
    return (*rows, row("", changed.total(), [run.overall for run in runs]))


def output_tps_cv(baseline: Baseline) -> float | None:
    """Standard deviation of Output TPS between runs as a share of its mean; ``None`` without the speed of every run."""
    rounds = baseline.calibration.rounds if baseline.calibration else None
    return None if rounds is None else coefficient_of_variation(rounds.output_tps)


def coefficient_of_variation(values: Sequence[float | None]) -> float | None:
    """Standard deviation (n − 1) as a share of the mean; ``None`` below two values or if any is absent."""
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return None
    return stdev(known) / fmean(known)
