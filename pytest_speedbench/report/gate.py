"""A gate's result becomes an entry."""

from __future__ import annotations

from pytest_speedbench import gate
from pytest_speedbench.report.entries import GateChange, GateEntry, GateRow


def gate_entry(test: str, pair: str, result: gate.GateResult) -> GateEntry:
    """The entry of one comparison; the overall row, if there is one, comes last."""
    return GateEntry(
        test=test,
        pair=pair,
        against=result.against,
        figure=result.figure,
        family_error=result.family_error,
        mode=result.mode,
        basis=result.basis,
        rows=[_row(row) for row in result.all_rows],
        notes=[*result.doubts, *result.notes],
    )


def _row(row: gate.GateRow) -> GateRow:
    return GateRow(
        name=row.name,
        prompts=row.prompts,
        of_prompts=row.of_prompts,
        changes=[_change(change) for change in row.changes],
        verdict=row.verdict.value,
        detectable_drop=row.detectable_drop,
        reason=row.reason,
        stopped=row.stopped,
    )


def _change(change: gate.Change) -> GateChange:
    return GateChange(
        metric=change.metric,
        baseline=change.baseline,
        candidate=change.candidate,
        change=change.change,
        lower=change.lower,
        upper=change.upper,
        tolerance=change.tolerance,
        verdict=change.verdict.value,
        near_ties=change.near_ties,
    )
