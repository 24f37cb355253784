"""Entries become lines of text: for a terminal with colours or a CI log without."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from typing import Any, Literal

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pytest_speedbench.gate import OVERALL
from pytest_speedbench.printable import printable
from pytest_speedbench.report.entries import FigureRow, GateChange, GateEntry, GateRow, LosslessEntry, MeasurementEntry

ABSENT = "–"
_LENGTHS = ("al_macro", "al_pooled")
_SHOWN_WIDTH = 0.0005

_VERDICT_STYLES = {
    "regression": "bold red",
    "no regression": "green",
    "undecided": "yellow",
    "missing data": "bold red",
}


def render(table: Table, *, width: int, colour: bool) -> str:
    """A rich table as text of at most ``width`` columns, trailing blanks removed."""
    stream = io.StringIO()
    Console(
        file=stream,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
    ).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")


def note_lines(notes: Iterable[str], columns: int) -> list[str]:
    """Notes, each wrapped to so many columns."""
    return [
        line
        for note in notes
        for line in textwrap.wrap(
            printable(note),
            columns,
            initial_indent="  note: ",
            subsequent_indent=" " * 8,
            break_on_hyphens=False,
            break_long_words=False,
        )
    ]


def measurement_lines(entry: MeasurementEntry, *, width: int, colour: bool, columns: int | None = None) -> list[str]:
    """What was measured, its acceptance by category, its speed. Notes keep to ``columns``, else to the width."""
    lines = [
        printable(f"{entry.pair}: {entry.drafter}"),
        printable(f"  {entry.engine} on {entry.device}; {entry.split}; {entry.load}"),
    ]
    if entry.source is None:
        lines.append("  no acceptance: nothing was drafted or the engine reports none")
    else:
        if entry.source == "replay":
            lines.append("  replayed on stored outputs, not decoded: neither speed nor what batching does is seen")
        elif entry.source != "engine":
            lines.append(f"  acceptance from {entry.source}, not from the engine's own per-request record")
        lines.append(render(_figures(entry), width=width, colour=colour))
    return [*lines, f"  {speed_line(entry)}", *note_lines(entry.notes, columns or width)]


def speed_line(entry: MeasurementEntry) -> str:
    """Throughput and latency in one line."""
    parts = [
        f"Output TPS {number(entry.output_tps, 1)}",
        f"User TPS {number(entry.user_tps_q50, 1)} (median)",
        f"TTFT {_milliseconds(entry.ttft_q50_s)} (median)",
        f"step {_milliseconds(entry.step_time_q50_s)} (median)",
    ]
    if entry.output_tps_per_gpu is not None:
        parts.insert(1, f"per GPU {number(entry.output_tps_per_gpu, 1)}")
    return ", ".join(parts)


def gate_lines(entry: GateEntry, *, width: int, colour: bool, columns: int | None = None) -> list[str]:
    """The verdicts by category. The intervals hold together, at the family-wise error.

    Notes keep to ``columns``, else to the table's width.
    """
    table = figure_table("", "prompts", "baseline", "now", "macro", "interval", "pooled", "interval", "tolerance")
    table.add_column("verdict")
    for row in entry.rows:
        if row.name == OVERALL:
            table.add_section()
        table.add_row(*_gate_cells(row), _verdict(row))
        for change in row.changes:
            if change.metric not in _LENGTHS:
                table.add_row(*_rate_cells(change))
    title = f"{entry.pair} against {entry.against}: {entry.figure}, family-wise error {entry.family_error:.0%}"
    if entry.basis != "paired":
        title += f", {entry.basis}: weaker than prompt by prompt"
    if entry.mode != "detect":
        title += f", policy {entry.mode}"
    notes = note_lines(entry.notes, columns or width)
    return [printable(title), render(table, width=width, colour=colour), *notes]


def lossless_line(entry: LosslessEntry) -> str:
    """Whether the output was the target's own."""
    if entry.different:
        ties = f", {entry.near_ties} of them at a near-tie" if entry.near_ties else ""
        count = f"{entry.different} of {entry.conversations}"
        return f"{entry.pair}: {count} greedy outputs differ from the target's own{ties}"
    return f"{entry.pair}: all {entry.conversations} greedy outputs equal the target's own"


def _figures(entry: MeasurementEntry) -> FigureTable:
    rates = len(entry.overall.rates)
    table = figure_table(
        "",
        "prompts",
        "AL macro",
        "AL pooled",
        *(f"AR@{k}" for k in range(1, rates + 1)),
        "accepted",
        "tok/step",
        "tokens",
    )
    for row in entry.rows:
        table.add_row(*_figure_cells(row))
    table.add_section()
    table.add_row(*_figure_cells(entry.overall))
    return table


class FigureTable(Table):
    """A table whose cells are shown as they are: no markup is read in the names that come from a split."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """As rich does it, with texts taken literally."""
        super().add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def figure_table(*columns: str, names: Literal["left", "right"] = "left") -> FigureTable:
    """A table of figures: the first column holds the rows' names, set to ``names``, the others numbers."""
    table = FigureTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="", padding=(0, 1))
    for index, column in enumerate(columns):
        table.add_column(Text(printable(column)), justify=names if index == 0 else "right", no_wrap=index == 0)
    return table


def _figure_cells(row: FigureRow) -> Iterable[str]:
    prompts = f"{row.prompts}" if not row.missing else f"{row.prompts} ({row.missing} without)"
    return (
        row.name,
        prompts,
        number(row.al_macro, 3),
        number(row.al_pooled, 3),
        *(number(rate, 3) for rate in row.rates),
        share(row.draft_acceptance_rate),
        number(row.tokens_per_decode_step, 3),
        str(row.output_tokens),
    )


def _gate_cells(row: GateRow) -> Iterable[str]:
    lengths = {change.metric: change for change in row.changes}
    macro, pooled = (lengths.get(metric) for metric in _LENGTHS)
    return (
        row.name,
        str(row.prompts) if row.prompts == row.of_prompts else f"{row.prompts}/{row.of_prompts}",
        number(macro.baseline if macro else None, 3),
        number(macro.candidate if macro else None, 3),
        *_change_cells(macro),
        *_change_cells(pooled),
        _tolerance(macro) if macro else ABSENT,
    )


def _rate_cells(change: GateChange) -> Iterable[str | Text]:
    rate = (number(change.baseline, 3), number(change.candidate, 3))
    row = (f"  {change.metric.upper()}", "", *rate, *_change_cells(change), "", "", _tolerance(change))
    return (*row, _styled(change.verdict, change.verdict))


def _change_cells(change: GateChange | None) -> tuple[str, str]:
    if change is None:
        return ABSENT, ABSENT
    interval = ABSENT if change.lower is None or change.upper is None else f"{change.lower:+.1%} … {change.upper:+.1%}"
    return f"{change.change:+.1%}", interval


def _tolerance(change: GateChange) -> str:
    """The tolerance, and by how much near ties of replayed outputs may blur it."""
    shown = change.near_ties is not None and change.near_ties >= _SHOWN_WIDTH
    return f"{change.tolerance:.1%}" + (f" ±{change.near_ties:.1%}" if shown else "")


def _verdict(row: GateRow) -> Text:
    text = row.verdict
    if row.reason:
        text += f": {row.reason}"
    if row.verdict == "undecided" and row.detectable_drop is not None:
        text += f" (sees drops from {row.detectable_drop:.1%})"
    if row.stopped:
        text += " (decided early)"
    return _styled(row.verdict, text)


def _styled(verdict: str, text: str) -> Text:
    return Text(printable(text), style=_VERDICT_STYLES.get(verdict, ""))


def number(value: float | None, digits: int) -> str:
    """With so many decimals; a dash for what is absent."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """As a percentage; a dash for what is absent."""
    return ABSENT if value is None else f"{value:.1%}"


def _milliseconds(value: float | None) -> str:
    return ABSENT if value is None else f"{value * 1000:.1f} ms"
