"""A failed gate in words: the verdicts, where the loss lies, and why the comparison could mislead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.schema import Baseline
from pytest_speedbench.errors import EngineError
from pytest_speedbench.gate import failure_message
from pytest_speedbench.gate.attribution import attribute, vocabulary_of
from pytest_speedbench.gate.pairing import sides
from pytest_speedbench.metrics.degenerate import degenerate, degenerate_stored, doubts
from pytest_speedbench.report.attribution import attribution_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.gate import GateResult
    from pytest_speedbench.measure.run import Run


def with_doubts(result: GateResult, reference: Baseline | Run, run: Run) -> GateResult:
    """The result, with notes on outputs that could fake a verdict."""
    now = degenerate(run)
    if isinstance(reference, Baseline):
        before, after = sides(reference), sides(run)
        same = {name for name in after if name in before and before[name].output_sha256 == after[name].output_sha256}
        limit = reference.acceptance_key.max_output_tokens
        then = degenerate_stored(reference.prompts, limit, now, same)
    else:
        then = degenerate(reference)
    return replace(result, notes=(*result.notes, *doubts(then, now)))


def regression_message(result: GateResult, reference: Baseline | Run | None, runs: Sequence[Run]) -> str:
    """Why a comparison did not pass, and where what was lost lies, unless the reference has no prompts."""
    regressed = [row.name for row in result.rows if row.name in result.regressed] or list(result.regressed)
    if not regressed or reference is None:
        return failure_message(result)
    vocabulary, unread = None, []
    try:
        vocabulary = vocabulary_of(runs[0].pair)
    except EngineError as error:  # what the head could not propose is a detail beside the verdict
        unread = ["", f"What lies outside of its draft vocabulary is not known. {error.problem}"]
    seen = {row.name: frozenset(row.prompt_ids) for row in result.all_rows}
    found = attribute(reference, runs, regressed, vocabulary, seen)
    return failure_message(result, [*attribution_lines(found), *unread])
