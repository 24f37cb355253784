"""A speed comparison in lines: for the terminal summary, and for the message of a test that fails."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import msgspec

from pytest_speedbench.gate.message import COLUMNS
from pytest_speedbench.gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.gate.speed import SpeedResult, SpeedRow

_TITLES = {
    "output_tps": "Output TPS",
    "user_tps": "User TPS",
    "ttft": "TTFT",
    "e2e": "E2E",
    "step_time": "step time",
}


class SpeedEntry(msgspec.Struct, frozen=True, tag="speed"):
    """One speed comparison and what came of it, in lines; the intervals hold together, at the family-wise error."""

    test: str
    pair: str
    against: str
    family_error: float
    lines: list[str]
    notes: list[str]


def speed_entry(test: str, pair: str, result: SpeedResult) -> SpeedEntry:
    """The entry of one comparison."""
    lines = [describe_speed(row) for row in result.rows]
    return SpeedEntry(test, pair, result.against, result.policy.family_error, lines, list(result.notes))


def speed_lines(entry: SpeedEntry) -> list[str]:
    """The entry in the terminal summary."""
    title = f"{entry.pair} against {entry.against}: speed, family-wise error {entry.family_error:.0%}"
    return [title, *(f"  {line}" for line in entry.lines), *(f"  note: {note}" for note in entry.notes)]


def slowdown_message(pair: str, result: SpeedResult) -> str:
    """Why a speed comparison did not pass: the verdict, each failing row, everything else. At most 100 columns."""
    failures = result.failures
    rest = [row for row in result.rows if row not in failures]
    blocks = [_wrapped(_headline(pair, result)), _block(failures)]
    if rest:
        blocks.append("\n".join(["The other figures:", _block(rest)]))
    closing = []
    if result.family:
        tests = "the one test" if result.family == 1 else f"all {result.family} tests together"
        closing.append(
            f"Intervals and verdicts hold for {tests}, at an error level of {result.policy.family_error:.1%}."
        )
    closing += result.notes
    blocks.append("\n".join(_wrapped(line) for line in closing))
    return "\n\n".join(block for block in blocks if block)


def describe_speed(row: SpeedRow) -> str:
    """One figure in one line: from what to what, by how much, how surely, over how many rounds, and the verdict."""
    title = f"{_TITLES[row.metric]} at concurrency {row.concurrency}"
    if row.reference is None or row.candidate is None or row.ratio is None:
        return f"{title}: {row.verdict.value}: {row.reason}"
    interval = "" if row.lower is None or row.upper is None else f" [{_percent(row.lower)}, {_percent(row.upper)}]"
    tolerance = "" if row.tolerance is None else f", tolerance {row.tolerance:.1%}"
    detectable = ""
    if row.verdict is Verdict.UNDECIDED and row.detectable_loss is not None:
        detectable = f" (sees losses from {row.detectable_loss:.1%})"
    return (
        f"{title}: {_figures(row.metric, row.reference, row.candidate)}, {_percent(row.ratio)}{interval}, "
        f"{_rounds(row)}{tolerance}: {row.verdict.value}{detectable}"
    )


def _headline(pair: str, result: SpeedResult) -> str:
    verdicts = {row.verdict for row in result.failures}
    if Verdict.REGRESSION in verdicts:
        slower = sum(row.verdict is Verdict.REGRESSION for row in result.failures)
        return f"{pair} is slower than {result.against} in {slower} of {len(result.rows)} figures."
    if Verdict.MISSING in verdicts:
        return f"The speed of {pair} cannot be compared with {result.against}: figures are missing."
    return f"{pair} is not shown to be as fast as {result.against}, within the tolerance."


def _block(rows: Iterable[SpeedRow]) -> str:
    return "\n".join(_wrapped(describe_speed(row), "  ") for row in rows)


def _figures(metric: str, reference: float, candidate: float) -> str:
    scale, unit = (1, "tok/s") if metric.endswith("_tps") else (1000, "ms")
    digits = _digits([reference * scale, candidate * scale])
    return f"{reference * scale:.{digits}f} -> {candidate * scale:.{digits}f} {unit}"


def _digits(values: Sequence[float]) -> int:
    """Decimals that tell figures around the smaller one apart."""
    return 1 if min(values) >= 10 else 3


def _rounds(row: SpeedRow) -> str:
    if row.reference_rounds == row.candidate_rounds:
        return f"{row.reference_rounds} rounds a side"
    return f"{row.reference_rounds} rounds against {row.candidate_rounds}"


def _percent(ratio: float) -> str:
    return f"{ratio - 1:+.1%}"


def _wrapped(text: str, indent: str = "") -> str:
    hanging = indent + "  " if indent else ""
    return textwrap.fill(text, COLUMNS, initial_indent=indent, subsequent_indent=hanging, break_on_hyphens=False)
