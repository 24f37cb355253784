"""The gate's word on stored counts: the one place here that knows how the gate is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracle.counts import run_of
from pytest_speedbench.config import DEFAULT_FAMILY_ERROR, DEFAULT_TOLERANCE
from pytest_speedbench.gate import GatePolicy, Verdict, compare, pair_up
from pytest_speedbench.tolerance import parse_tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oracle.counts import PromptId, Row


@dataclass(frozen=True, slots=True)
class Figure:
    """One judged figure of a category or of all prompts: its relative change, and the interval if it was tested.

    ``level`` is the interval's error on either side.
    """

    row: str
    metric: str
    change: float
    interval: tuple[float, float] | None
    level: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One comparison: all figures, the rows' verdicts, and whether a test would fail."""

    figures: tuple[Figure, ...]
    verdicts: Mapping[str, Verdict]
    failed: bool


def judge(
    prompts: Sequence[PromptId],
    before: Sequence[Row],
    after: Sequence[Row],
    tolerance: float = DEFAULT_TOLERANCE,
    family_error: float = DEFAULT_FAMILY_ERROR,
) -> Judgement:
    """Compare two runs of the same prompts."""
    policy = GatePolicy(tolerance=parse_tolerance(tolerance, "tolerance"), family_error=family_error, outputs="note")
    result = compare(pair_up(run_of("before", prompts, before), run_of("after", prompts, after)), policy)
    figures = tuple(
        Figure(
            row.name,
            change.metric,
            change.change,
            None if change.lower is None or change.upper is None else (change.lower, change.upper),
            change.level,
        )
        for row in result.all_rows
        for change in row.changes
    )
    return Judgement(figures, {row.name: row.verdict for row in result.all_rows}, result.failed)
