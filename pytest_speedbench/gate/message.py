"""The gate's findings in plain text, for whoever reads the log of a failed job. No colours, at most 100 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_speedbench.gate.statistics import MIN_PROMPTS
from pytest_speedbench.gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.gate.verdict import GateResult, GateRow, Mover

COLUMNS = 100
_MOST_NAME_COLUMNS = 40


def failure_message(result: GateResult) -> str:
    """Why a comparison did not pass and what to do: first the verdict, then each failing row, then everything else."""
    regressed = _rows(result, Verdict.REGRESSION)
    missing = _rows(result, Verdict.MISSING)
    blocks = [_wrapped(_headline(result, regressed, missing))]
    blocks += [_regression(row, with_movers=row is not result.overall or len(regressed) == 1) for row in regressed]
    blocks += [_wrapped(f"{row.name}: cannot be compared. {_sentence(row.reason)}", "  ") for row in missing]
    blocks.append("\n".join(_wrapped(line) for line in _closing(result, regressed, missing)))
    return "\n\n".join(block for block in blocks if block)


def _headline(result: GateResult, regressed: Sequence[GateRow], missing: Sequence[GateRow]) -> str:
    figure = result.figure.capitalize()
    categories = [row for row in regressed if row is not result.overall]
    if categories:
        return f"{figure} dropped in {len(categories)} of {len(result.rows)} categories against {result.against}."
    if regressed:
        return f"{figure} dropped over all categories together against {result.against}."
    if missing:
        return f"{figure} cannot be compared with {result.against}: data is missing."
    return (
        f"{figure} cannot be compared with {result.against}: "
        f"at least {MIN_PROMPTS} prompts that both measured are needed."
    )


def _regression(row: GateRow, *, with_movers: bool) -> str:
    lines = [_wrapped(f"{_clipped(row.name)}: {describe_row(row)}", "  ")]
    if row.movers and with_movers:
        lines.append("    prompts that dropped most:")
        width = max(len(_clipped(mover.question_id)) for mover in row.movers)
        lines += [f"      {_clipped(mover.question_id):<{width}}  {_mover(mover)}" for mover in row.movers]
    return "\n".join(lines)


def describe_row(row: GateRow) -> str:
    """A compared row in one line: from what to what, by how much, how surely, over how many prompts.

    Raises:
        ValueError: nothing was compared.
    """
    if row.baseline_al is None or row.candidate_al is None or row.change is None:
        raise ValueError(f"nothing was compared in {row.name}")
    interval = "" if row.lower is None or row.upper is None else f" [{_percent(row.lower)}, {_percent(row.upper)}]"
    prompts = f"{row.prompts}" if row.prompts == row.of_prompts else f"{row.prompts} of {row.of_prompts}"
    return (
        f"{row.baseline_al:.3f} -> {row.candidate_al:.3f}, {_percent(row.change)}{interval}, "
        f"{prompts} prompts, tolerance {row.tolerance:.1%}"
    )


def _mover(mover: Mover) -> str:
    turns = f", {mover.turns} turns" if mover.turns > 1 else ""
    steps = f"{mover.baseline_steps} -> {mover.candidate_steps} steps{turns}"
    return f"{mover.baseline_al:.2f} -> {mover.candidate_al:.2f}  ({steps})"


def _closing(result: GateResult, regressed: Sequence[GateRow], missing: Sequence[GateRow]) -> Iterable[str]:
    if result.family:
        tests = "the one test" if result.family == 1 else f"all {result.family} tests together"
        yield f"Intervals and verdicts hold for {tests}, at an error level of {result.family_error:.1%}."
    undecided = [row for row in _rows(result, Verdict.UNDECIDED) if row.detectable_drop is not None]
    if undecided:
        parts = ", ".join(f"{_clipped(row.name)} ({row.detectable_drop:.1%})" for row in undecided)
        yield f"Undecided, with the smallest drop that would have been found 4 times in 5: {parts}."
    untested = [row.name for row in _rows(result, Verdict.UNDECIDED) if row.detectable_drop is None]
    if untested:
        yield f"Too few prompts to judge: {', '.join(map(_clipped, untested))}."
    yield from result.notes
    if regressed and result.update_hint:
        yield result.update_hint
    elif missing and result.update_hint:
        yield "Mend what is missing; if the split or the prompts changed on purpose, record a new baseline."


def _rows(result: GateResult, verdict: Verdict) -> list[GateRow]:
    return [row for row in result.all_rows if row.verdict is verdict]


def _percent(share: float) -> str:
    return f"{share:+.1%}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?)", "!")) else f"{text}."


def _clipped(name: str) -> str:
    name = _printable(name)
    return name if len(name) <= _MOST_NAME_COLUMNS else f"{name[: _MOST_NAME_COLUMNS - 1]}…"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        _printable(text), COLUMNS, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _printable(text: str) -> str:
    """Names come from data files; control characters must not reach a log."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
