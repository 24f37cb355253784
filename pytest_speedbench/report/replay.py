"""What a replay shows beside its measurement: lengths for several draft lengths, and where decoding differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.acceptance import summarize_acceptance
from pytest_speedbench.metrics.replay_differences import Cause, ReplayDifference
from pytest_speedbench.report.terminal import ABSENT, figure_table, number, render


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


def difference_lines(found: Sequence[ReplayDifference], limit_nats: float | None) -> list[str]:
    """How often each kind of difference between a replay and its decoding occurred, with the first of each."""
    lines = []
    for cause in Cause:
        of_kind = [difference for difference in found if difference.cause is cause]
        if of_kind:
            lines.append(f"  {len(of_kind)} × {cause.value}, first {_described(of_kind[0], limit_nats)}")
    return lines


def _described(difference: ReplayDifference, limit_nats: float | None) -> str:
    where = f"{difference.question_id}, turn {difference.turn + 1}"
    if difference.position is None:
        return f"{where}: replayed {_counted(difference.replayed)}, decoded {_counted(difference.decoded)}"
    if difference.margin_nats is None:
        return f"{where}, token {difference.position + 1}"
    limit = "" if limit_nats is None else f" (rounding may turn over up to {limit_nats:g})"
    return f"{where}, token {difference.position + 1}: margin {difference.margin_nats:.2g} nats{limit}"


def _counted(record: AcceptanceRecord | None) -> str:
    if record is None:
        return "no record"
    shown = f"{list(record.histogram)} of {_or_absent(record.proposed_tokens)} proposed"
    return f"{shown}, {_or_absent(record.undrafted_steps)} undrafted, {_or_absent(record.discarded_tokens)} discarded"


def _or_absent(count: int | None) -> str:
    return ABSENT if count is None else str(count)
