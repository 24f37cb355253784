"""A calibration in words and figures: how much a pair varies from run to run."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.fingerprint import acceptance_differences
from pytest_speedbench.baselines.variation import Variation, output_tps_cv, run_to_run
from pytest_speedbench.report.terminal import figure_table, number, render, share

if TYPE_CHECKING:
    from pytest_speedbench.baselines import Baseline

ENOUGH_RUNS = 5
"""Below, the standard deviation of the runs is itself known too badly to build on."""
_TWO_RUNS_APART = 1.96 * sqrt(2)
"""How many standard deviations two runs of one pair differ by at most, 19 times in 20."""


def calibration_lines(baseline: Baseline, *, width: int, colour: bool) -> list[str]:
    """A table of the variation by category, and what it means; a line if there is no calibration."""
    calibration = baseline.calibration
    if calibration is None:
        return [f"{baseline.pair} on {baseline.split}: not calibrated"]
    *rows, overall = run_to_run(baseline)
    table = figure_table("", "prompts", "changed counts", "AL macro", "AL macro sd", "AL pooled sd")
    for row in (*rows, overall):
        if row is overall:
            table.add_section()
        table.add_row(*_cells(row))
    hardware = baseline.hardware_key
    return [
        f"{baseline.pair} on {baseline.split}: {calibration.runs} runs of {overall.prompts} prompts, "
        f"{hardware.engine} {hardware.engine_version} on {hardware.device}, concurrency {hardware.concurrency}",
        render(table, width=width, colour=colour),
        *(f"  {line}" for line in _meaning(baseline, overall)),
    ]


def replaced_line(old: Baseline, new: Baseline) -> str:
    """What a new baseline replaces, so that nobody accepts another level unseen."""
    found = acceptance_differences(old.comparable_key, new.comparable_key)
    if found:
        what = "; ".join(map(str, found))
        return f"replaces the baseline of {old.recorded.date}, which is not comparable with it: {what}"
    before, after = old.summary.overall, new.summary.overall
    return (
        f"replaces the baseline of {old.recorded.date}: AL macro {number(before.al_macro, 3)} over {before.prompts} "
        f"prompts then, {number(after.al_macro, 3)} over {after.prompts} now"
    )


def _cells(row: Variation) -> tuple[str, ...]:
    return (
        row.name or "overall",
        str(row.prompts),
        share(row.changed_counts),
        number(row.al_macro, 3),
        _fine(row.al_macro_cv),
        _fine(row.al_pooled_cv),
    )


def _meaning(baseline: Baseline, overall: Variation) -> list[str]:
    calibration = baseline.calibration
    if calibration is None:
        return []
    lines = []
    outputs = calibration.changed_outputs
    if not overall.changed_counts and not outputs:
        lines.append(f"Identical in all {calibration.runs} runs: this engine is deterministic here.")
    else:
        counts = share(overall.changed_counts)
        lines.append(
            f"Against the first run, a further one changes the counts of {counts} and the outputs of {share(outputs)} "
            "of the prompts."
        )
        if overall.al_macro_cv is not None:
            apart = _fine(_TWO_RUNS_APART * overall.al_macro_cv)
            lines.append(
                f"Two runs of this unchanged pair differ by up to {apart} in overall AL macro, 19 times in 20."
            )
    lines.append(f"Output TPS varies by {share(output_tps_cv(baseline))} from run to run (coefficient of variation).")
    if calibration.runs < ENOUGH_RUNS:
        lines.append(
            f"note: the spread of {calibration.runs} runs is itself known badly; {ENOUGH_RUNS} or more are better."
        )
    return lines


def _fine(value: float | None) -> str:
    """As a percentage with two decimals: run-to-run noise is often below a tenth of one."""
    return number(None if value is None else value * 100, 2) + ("" if value is None else "%")
