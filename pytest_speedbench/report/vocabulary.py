"""A sweep over draft vocabularies becomes tables for a terminal or a log, and JSON with every figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.text import Text

from pytest_speedbench.gate.figures import AL_MACRO
from pytest_speedbench.metrics.acceptance import AcceptanceFigures
from pytest_speedbench.redaction import redacted
from pytest_speedbench.report.measurement import describe_drafter, describe_load, describe_split
from pytest_speedbench.report.terminal import ABSENT, FigureTable, figure_table, render, share
from pytest_speedbench.sweeps.vocabulary import SizeCell, SizeRow, Standing, VocabularySweep

JSON_SCHEMA = "speedbench-vocabulary/1"

_MARKS = {Standing.SHOWN: "=", Standing.NOT_FOUND: "?", Standing.REGRESSION: "!", Standing.NOT_JUDGED: "–"}
_STYLES = {Standing.SHOWN: "green", Standing.NOT_FOUND: "yellow", Standing.REGRESSION: "bold red"}


def vocabulary_lines(sweep: VocabularySweep, *, width: int, colour: bool) -> list[str]:
    """What was swept; the change of the length and the tokens out of reach, by category and size; what is enough."""
    full = sweep.full
    return [
        f"{full.pair.name}: {describe_drafter(full)}; {sweep.full_size} tokens cut to "
        f"{', '.join(map(str, sweep.sizes))}",
        f"  {full.engine.name} {full.engine.version} on {full.engine.device}; {describe_split(full)}; "
        f"{describe_load(full)}",
        "",
        f"change of the {_figure(sweep)} against the head of {sweep.full_size} tokens",
        render(_changes(sweep), width=width, colour=colour),
        f"  = no regression shown, ? none found but not excluded, ! regression; tolerance {sweep.policy.tolerance}, "
        f"family-wise error {sweep.policy.family_error:.0%}",
        "",
        "share of the target's output tokens that the head cannot propose",
        render(_outside(sweep), width=width, colour=colour),
        "",
        *(f"  {line}" for line in conclusion(sweep)),
        *(f"  note: {note}" for note in sweep.notes),
    ]


def conclusion(sweep: VocabularySweep) -> list[str]:
    """Which size is enough for every category, in sentences."""
    shown, not_found = sweep.smallest_shown, sweep.smallest_not_found
    lines = []
    if shown is not None:
        lines.append(f"{shown} tokens are the smallest size at which no regression is shown in any category.")
    else:
        lines.append("At no size is it shown for every category that there is no regression.")
    if not_found is None:
        worst = ", ".join(row.name for row in sweep.all_rows if row.smallest_not_found is None)
        lines.append(f"Even at {sweep.sizes[0]} tokens a regression is found, or nothing can be judged, in: {worst}.")
    elif not_found != shown:
        lines.append(f"{not_found} tokens are the smallest size at which none is found; it may be too small.")
    unseen = [drop for row in sweep.all_rows if (drop := _unseen_drop(row)) is not None]
    if unseen:
        lines.append(
            "Where none was found, down to the size that the table names, true drops of up to "
            f"{max(unseen):.1%} are missed 1 time in 5."
        )
    return lines


def vocabulary_json(sweep: VocabularySweep) -> bytes:
    """Every figure of the sweep; absent is null, changes and shares are fractions."""
    full = sweep.full
    content = {
        "schema": JSON_SCHEMA,
        "pair": full.pair.name,
        "measured": describe_drafter(full),
        "engine": f"{full.engine.name} {full.engine.version}",
        "split": describe_split(full),
        "load": describe_load(full),
        "models": full.models,
        "figure": _figure(sweep),
        "tolerance": str(sweep.policy.tolerance),
        "family_error": sweep.policy.family_error,
        "full_size": sweep.full_size,
        "sizes": sweep.sizes,
        "smallest_shown": sweep.smallest_shown,
        "smallest_not_found": sweep.smallest_not_found,
        "rows": [_row_json(row) for row in sweep.all_rows],
        "acceptance": {
            str(size): _counts(run.conversations) for size, run in [(sweep.full_size, full), *sweep.pruned.items()]
        },
        "notes": sweep.notes,
    }
    return msgspec.json.format(msgspec.json.encode(redacted(content)), indent=1) + b"\n"


def _row_json(row: SizeRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "full_al": row.full_al,
        "smallest_shown": row.smallest_shown,
        "smallest_not_found": row.smallest_not_found,
        "cells": [_cell_json(cell) for cell in row.cells],
    }


def _cell_json(cell: SizeCell) -> dict[str, Any]:
    macro = cell.gate.change_of(AL_MACRO)
    return {
        "size": cell.size,
        "al": macro.candidate if macro else None,
        "change": macro.change if macro else None,
        "shown_lower": cell.lower,
        "gate_lower": macro.lower if macro else None,
        "gate_upper": macro.upper if macro else None,
        "tolerance": macro.tolerance if macro else None,
        "prompts": cell.gate.prompts,
        "standing": cell.standing,
        "detectable_drop": cell.gate.detectable_drop,
        "outside_share": cell.outside_share,
        "reason": cell.gate.reason,
    }


def _counts(conversations: Any) -> dict[str, Any]:
    """What was counted over all prompts, to compare engines by."""
    figures = AcceptanceFigures.of([conversation.acceptance for conversation in conversations])
    return {"al_macro": figures.al_macro, "al_pooled": figures.al_pooled, "histogram": figures.histogram}


def _changes(sweep: VocabularySweep) -> FigureTable:
    table = figure_table("", "full", *map(str, sweep.sizes), "shown down to", "none found down to")
    for row in _sections(sweep, table):
        cells = [Text(_change(cell), style=_STYLES.get(cell.standing, "")) for cell in row.cells]
        full = ABSENT if row.full_al is None else f"{row.full_al:.3f}"
        table.add_row(row.name, full, *cells, _size(row.smallest_shown), _size(row.smallest_not_found))
    return table


def _outside(sweep: VocabularySweep) -> FigureTable:
    table = figure_table("", *map(str, sweep.sizes))
    for row in _sections(sweep, table):
        table.add_row(row.name, *(share(cell.outside_share) for cell in row.cells))
    return table


def _sections(sweep: VocabularySweep, table: FigureTable) -> Iterator[SizeRow]:
    for row in sweep.all_rows:
        if row is sweep.overall:
            table.add_section()
        yield row


def _change(cell: SizeCell) -> str:
    macro = cell.gate.change_of(AL_MACRO)
    return f"{ABSENT if macro is None else f'{macro.change:+.1%}'} {_MARKS[cell.standing]}"


def _unseen_drop(row: SizeRow) -> float | None:
    """The drop that may have been missed at the smallest size without a finding."""
    cells = [cell for cell in row.cells if cell.size == row.smallest_not_found and cell.standing is Standing.NOT_FOUND]
    return cells[0].gate.detectable_drop if cells else None


def _figure(sweep: VocabularySweep) -> str:
    return next(iter(sweep.gates.values())).figure


def _size(size: int | None) -> str:
    return ABSENT if size is None else str(size)
