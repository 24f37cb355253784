"""Two sides and the gate between them, for the ``speedbench compare`` command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.schema import Baseline
from pytest_speedbench.gate.verdict import Verdict
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.acceptance import summarize_records
from pytest_speedbench.metrics.summary import summarize
from pytest_speedbench.report.entries import MeasurementEntry
from pytest_speedbench.report.gate import gate_entry
from pytest_speedbench.report.measurement import figure_row, measurement_entry
from pytest_speedbench.report.terminal import gate_lines, measurement_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_speedbench.baselines.published import PublishedFigures
    from pytest_speedbench.baselines.schema import PromptEntry
    from pytest_speedbench.gate.verdict import GateResult


def side_lines(side: Run | Baseline | PublishedFigures, *, width: int, colour: bool) -> list[str]:
    """The figures of one side: a run, a baseline or a published table."""
    if isinstance(side, Run):
        return measurement_lines(measurement_entry("", side, summarize(side)), width=width, colour=colour)
    if isinstance(side, Baseline):
        return measurement_lines(stored_entry(side), width=width, colour=colour)
    of = ", ".join(f"{name} {length:g}" for name, length in side.categories.items())
    overall = "" if side.overall is None else f"; overall {side.overall:g}"
    return [f"published: {side.source}, K = {side.draft_length}", f"  {side.figure}: {of}{overall}"]


def verdict_lines(pair: str, result: GateResult, message: str, *, width: int, colour: bool) -> list[str]:
    """The gate's table, then the ``message`` of one that failed, or what passing means."""
    if result.failed:
        # The message has the notes.
        return [
            *gate_lines(
                gate_entry("", pair, replace(result, notes=(), outputs=None, same_drafts=None)),
                width=width,
                colour=colour,
            ),
            "",
            message,
        ]
    shown = sum(row.verdict is Verdict.NO_REGRESSION for row in result.all_rows)
    rest = len(result.all_rows) - shown
    undecided = f", {rest} undecided" if rest else ""
    return [
        *gate_lines(gate_entry("", pair, result), width=width, colour=colour),
        "",
        f"No regression found: {shown} of {len(result.all_rows)} rows shown to have none{undecided}.",
    ]


def stored_entry(baseline: Baseline) -> MeasurementEntry:
    """A baseline as an entry; its step time was not kept. Of a calibrated one, the first run."""
    figures = summarize_records((prompt.category, prompt.record(baseline.source)) for prompt in baseline.prompts)
    recorded, speed, key = baseline.recorded, baseline.throughput, baseline.acceptance_key
    turns = sum(prompt.turns for prompt in baseline.prompts)
    prompts = len(baseline.prompts)
    part = f"{prompts}" if prompts == recorded.split_prompts else f"{prompts} of {recorded.split_prompts}"
    how = f"temperature {key.temperature:g}" if key.temperature else "greedy"
    return MeasurementEntry(
        test="",
        pair=f"{baseline.pair} (baseline of {recorded.date[:10]})",
        drafter=f"{recorded.target} + {recorded.drafter}, K = {key.draft_length}",
        engine=f"{recorded.engine} {recorded.engine_version}",
        device=baseline.hardware_key.device,
        split_name=baseline.split,
        split=f"{baseline.split}: {part} prompts, {turns} turns",
        load=f"{how}, at most {key.max_output_tokens} tokens a turn, concurrency {baseline.hardware_key.concurrency}",
        source=baseline.source.value,
        rows=[
            figure_row(name, row, _output_tokens(prompt for prompt in baseline.prompts if prompt.category == name))
            for name, row in figures.by_category.items()
        ],
        overall=figure_row("overall", figures.overall, _output_tokens(baseline.prompts)),
        output_tps=speed.output_tps,
        output_tps_per_gpu=speed.output_tps_per_gpu,
        user_tps_q50=speed.user_tps_median,
        ttft_q50_s=speed.ttft_s_median,
        step_time_q50_s=None,
        notes=[],
    )


def _output_tokens(prompts: Iterable[PromptEntry]) -> int:
    return sum(prompt.output_tokens for prompt in prompts)
