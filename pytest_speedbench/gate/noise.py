"""Noise from run to run: what moves all prompts of a run together, and whether a run is noisier than it should be.

Prompts that scatter by themselves are the gate's daily business: their spread over conversations holds it. What it
cannot see is a shift that a whole run has in common, because another batching or another kernel was chosen when the
engine started. Only repeated runs show it. Of R runs, with y_ir what prompt i adds to the logarithm of run r's figure,

    excess = Var_r(Σ_i y_ir) − Σ_i Var_r(y_ir)

has the mean 0 if prompts scatter independently, and the variance of the common shift if they do not. It is averaged
over categories, because a few runs say little of each; a negative mean counts as none. A gate's δ then has the
additional variance excess · (1 + 1 / R), known to R − 1 degrees of freedom: the candidate's run and the mean of the
baseline's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtrc, betaincinv

from pytest_speedbench.baselines.schema import Baseline, output_sha256
from pytest_speedbench.gate.counts import StepCounts
from pytest_speedbench.gate.effects import RunNoise
from pytest_speedbench.gate.figures import LENGTHS, rate_metric, sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_speedbench.acceptance import AcceptanceRecord
    from pytest_speedbench.measure.run import Run

OVERALL = "overall"
_SURE = 0.001
"""A run is called noisier than its calibration at this error level."""


def run_noise(baseline: Baseline | Run, *, undrafted: bool) -> dict[str, dict[str, RunNoise]]:
    """What moves whole runs, by category (and ``overall``) and figure; empty for a run and an uncalibrated baseline.

    With ``undrafted``, steps without a draft count as steps that accepted nothing.
    """
    if not isinstance(baseline, Baseline) or baseline.calibration is None:
        return {}
    records = [(entry.category, baseline.records(entry)) for entry in baseline.prompts]
    runs = baseline.calibration.runs
    categories = sorted({category for category, _ in records})
    length = max(record.draft_length for _, of_prompt in records for record in of_prompt)
    noise: dict[str, dict[str, RunNoise]] = {name: {} for name in (*categories, OVERALL)}
    for metric in (*LENGTHS, *(rate_metric(k) for k in range(1, length + 1))):
        of_category = [_excess(metric, [r for c, r in records if c == name], undrafted) for name in categories]
        common = max(0.0, float(np.mean(of_category)))
        overall = max(0.0, _excess(metric, [of_prompt for _, of_prompt in records], undrafted))
        for name in categories:
            noise[name][metric] = RunNoise(common * (1 + 1 / runs), runs - 1)
        noise[OVERALL][metric] = RunNoise(overall * (1 + 1 / runs), runs - 1)
    return noise


def _excess(metric: str, records: Sequence[Sequence[AcceptanceRecord]], undrafted: bool) -> float:
    by_run = [[StepCounts.of([record], undrafted=undrafted) for record in run] for run in zip(*records, strict=True)]
    steps = [i for i in range(len(records)) if all(run[i] is not None for run in by_run)]
    tables = [sums(metric, [count for i in steps if (count := run[i]) is not None]) for run in by_run] if steps else []
    if not tables or not all(table.over.sum() > 0 for table in tables):
        return 0.0
    over = np.array([table.over for table in tables])
    under = np.array([table.under for table in tables])
    added: NDArray[np.float64] = (over - over.sum() / under.sum() * under) / over.sum(axis=1).mean()
    return float(added.sum(axis=1).var(ddof=1) - added.var(axis=0, ddof=1).sum())


def calibration_notes(baseline: Baseline | Run, runs: Sequence[Run]) -> tuple[str, ...]:
    """What a reader should know about noise: no calibration, or a run that is noisier than it."""
    if not isinstance(baseline, Baseline):
        return ()
    if baseline.calibration is None:
        return (
            "The baseline is not calibrated: the gate allows for the spread of prompts, not for what moves a whole run "
            "(record one with --speedbench-update --speedbench-repeat=5).",
        )
    before = {entry.id: entry.output_sha256 for entry in baseline.prompts}
    answered = [c for run in runs for c in run.conversations if c.question_id in before]
    changed = sum(output_sha256(c) != before[c.question_id] for c in answered)
    share, highest = baseline.calibration.changed_outputs, most_changed(baseline)
    if highest is None or changed == 0 or float(bdtrc(changed - 1, len(answered), highest)) > _SURE:
        return ()
    return (
        f"This run is noisier than the baseline's calibration: {changed} of {len(answered)} outputs differ from the "
        f"baseline's, and {share:.1%} did between the calibration's own runs. Greedy output does not depend on the "
        "drafter, so something else changed (engine, kernels, batching, target): small drops may be its doing.",
    )


def most_changed(baseline: Baseline) -> float | None:
    """The upper 99 % bound of the share of outputs that differ from run to run; ``None`` without a calibration."""
    if baseline.calibration is None:
        return None
    share, seen = baseline.calibration.changed_outputs, (baseline.calibration.runs - 1) * len(baseline.prompts)
    return float(betaincinv(share * seen + 1, (1 - share) * seen, 0.99)) if share < 1 else 1.0


def shared_noise(noise: Mapping[str, Mapping[str, RunNoise]], name: str, metric: str) -> RunNoise | None:
    """The noise of one figure of one category; ``None`` if none is known."""
    return noise.get(name, {}).get(metric)
