"""What a replay shows beside its measurement: acceptance lengths for several draft lengths."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.acceptance import summarize_acceptance
from pytest_speedbench.report.terminal import figure_table, number, render


def lengths_lines(runs: Mapping[int, Run], *, width: int, colour: bool) -> list[str]:
    """The acceptance length of every category, by draft length, and what a decode step puts out over all prompts.

    Args:
        runs: by draft length, all of the same prompts.
        width: columns of the terminal.
        colour: whether it shows colours.
    """
    summaries = {length: summarize_acceptance(run.conversations) for length, run in runs.items()}
    first = next(iter(summaries.values()))
    table = figure_table("AL macro", *(f"K = {length}" for length in runs))
    for category in first.by_category:
        table.add_row(category, *(number(s.by_category[category].al_macro, 3) for s in summaries.values()))
    table.add_section()
    table.add_row("overall", *(number(s.overall.al_macro, 3) for s in summaries.values()))
    table.add_row("tok/step", *(number(s.overall.tokens_per_decode_step, 3) for s in summaries.values()))
    return [
        f"{next(iter(runs.values())).pair.name}, replayed, by draft length:",
        render(table, width=width, colour=colour),
    ]
