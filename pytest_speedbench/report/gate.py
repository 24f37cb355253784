"""A gate's result becomes an entry."""

from __future__ import annotations

from pytest_speedbench import gate
from pytest_speedbench.report.entries import GateEntry, GateRow


def gate_entry(test: str, pair: str, result: gate.GateResult) -> GateEntry:
    """The entry of one comparison; the overall row, if there is one, comes last."""
    return GateEntry(
        test=test,
        pair=pair,
        against=result.against,
        figure=result.figure,
        family_error=result.family_error,
        rows=[_row(row) for row in result.all_rows],
        notes=list(result.notes),
    )


def _row(row: gate.GateRow) -> GateRow:
    return GateRow(
        name=row.name,
        prompts=row.prompts,
        of_prompts=row.of_prompts,
        baseline_al=row.baseline_al,
        candidate_al=row.candidate_al,
        change=row.change,
        lower=row.lower,
        upper=row.upper,
        tolerance=row.tolerance,
        verdict=row.verdict.value,
        detectable_drop=row.detectable_drop,
        reason=row.reason,
    )
