"""The gate's findings in plain text, for whoever reads the log of a failed job. No colours, at most 100 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_speedbench.gate.effects import MIN_PROMPTS
from pytest_speedbench.gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.gate.verdict import Change, GateResult, GateRow

COLUMNS = 100
METRIC_WORDS = {"al_macro": "AL macro", "al_pooled": "AL pooled"}
_MOST_NAME_COLUMNS = 40
_SHOWN_WIDTH = 0.0005


def failure_message(result: GateResult, where: Sequence[str] = ()) -> str:
    """Why a comparison did not pass and what to do: the verdict, each failing row, where it lies, everything else.

    Outputs that are not the baseline's come first, since lengths of other texts say little of the drafter. ``where``
    are lines that say where the loss lies.
    """
    blocks = [*_outputs_blocks(result), *_not_loaded_blocks(result)]
    if result.rows_failed:
        blocks += _row_blocks(result, where)
    else:
        blocks.append("\n".join(_wrapped(note) for note in (*result.asides, *result.notes)))
    return "\n\n".join(block for block in blocks if block)


def _outputs_blocks(result: GateResult) -> list[str]:
    found = result.outputs
    if found is None or not result.outputs_failed:
        return []
    way_out = (
        "Mend what changed. If it was meant, record a new baseline with --speedbench-update; if this machine or engine "
        "rounds more than that, one recorded there with --speedbench-repeat=5 allows for it, and "
        "--speedbench-outputs=note only tells."
    )
    return [
        _wrapped(result.outputs_sentence),
        _wrapped(
            f"The first is {found.first}. Greedy output does not depend on the drafter, so something else changed, and "
            "acceptance lengths of other texts say nothing of the drafter. Likely another target (does the server "
            "serve the pair's model?), an acceptance that is synthetic or lossy, another dtype or quantization, or "
            "other template arguments. assert_lossless() compares with the target alone."
        ),
        _wrapped(way_out),
    ]


def _not_loaded_blocks(result: GateResult) -> list[str]:
    if result.same_drafts is None or not result.not_loaded:
        return []
    return [
        _wrapped(result.same_drafts.sentence),
        _wrapped(
            "Start the server with the drafter that is to be judged. If the two hold the same weights in other files, "
            "record a new baseline with --speedbench-update."
        ),
    ]


def _row_blocks(result: GateResult, where: Sequence[str]) -> list[str]:
    """The acceptance that did not pass."""
    regressed = _rows(result, Verdict.REGRESSION)
    missing = _rows(result, Verdict.MISSING)
    brief = _brief(result, regressed, missing)
    headline = _wrapped(_headline(result, regressed, missing))
    blocks = [f"{brief}\n{headline}" if brief else headline]
    blocks += [_row_lines(row) for row in regressed]
    if not regressed and result.mode == "prove":
        blocks += [_row_lines(row) for row in _rows(result, Verdict.UNDECIDED) if row.changes]
    blocks += [_wrapped(f"{row.name}: cannot be compared. {_sentence(row.reason)}", "  ") for row in missing]
    blocks.append("\n".join(_printable(line) for line in where))
    blocks.append("\n".join(_wrapped(line) for line in _closing(result, regressed, missing)))
    return blocks


def _brief(result: GateResult, regressed: Sequence[GateRow], missing: Sequence[GateRow]) -> str:
    """The worst in a few words: short summaries show of the first line what fits beside a test's name."""
    categories = [row for row in regressed if row is not result.overall] or list(regressed)
    found = [(row, change) for row in categories for change in row.changes if change.verdict is Verdict.REGRESSION]
    if found:
        row, change = min(found, key=lambda one: round(one[1].change, 3))  # of equal ones the first, which is AL macro
        figure = METRIC_WORDS.get(change.metric, change.metric.upper())
        return f"{_clipped(row.name)} {_percent(change.change)} {figure}" + _and_more(len(categories) - 1)
    if missing:
        return f"{_clipped(missing[0].name)}: missing data" + _and_more(len(missing) - 1)
    return ""


def _and_more(count: int) -> str:
    return f", {count} more" if count else ""


def _headline(result: GateResult, regressed: Sequence[GateRow], missing: Sequence[GateRow]) -> str:
    figure = result.figure.capitalize()
    categories = [row for row in regressed if row is not result.overall]
    if categories:
        return f"{figure} dropped in {len(categories)} of {len(result.rows)} categories against {result.against}."
    if regressed:
        return f"{figure} dropped over all categories together against {result.against}."
    if missing:
        return f"{figure} cannot be compared with {result.against}: data is missing."
    if result.mode == "prove" and any(row.tested for row in result.all_rows):
        undecided = sum(row.verdict is Verdict.UNDECIDED for row in result.all_rows)
        return (
            f"{figure} is not shown to be as good as {result.against}: {undecided} of {len(result.all_rows)} "
            "comparisons are undecided, and the policy is to pass on proof only."
        )
    return (
        f"{figure} cannot be compared with {result.against}: "
        f"at least {MIN_PROMPTS} prompts that both measured are needed."
    )


def _row_lines(row: GateRow) -> str:
    shown = [change for change in row.changes if change.verdict is row.verdict] or list(row.changes)
    lines = [f"{_clipped(row.name)}: {_described(row, shown[0])}"]
    lines += [f"  {describe_change(change)}" for change in shown[1:]]
    return "\n".join(_wrapped(line, "  ") for line in lines)


def _described(row: GateRow, change: Change) -> str:
    asked = f"{row.prompts}" if row.prompts == row.of_prompts else f"{row.prompts} of {row.of_prompts}"
    return f"{describe_change(change)}, {asked} prompts"


def describe_change(change: Change) -> str:
    """A compared figure in one line: from what to what, by how much, how surely, against which tolerance."""
    interval = ""
    if change.lower is not None and change.upper is not None:
        interval = f" [{_percent(change.lower)}, {_percent(change.upper)}]"
    near_ties = ""
    if change.near_ties is not None and change.near_ties >= _SHOWN_WIDTH:
        near_ties = f", near ties ±{change.near_ties:.1%} in the interval"
    return (
        f"{METRIC_WORDS.get(change.metric, change.metric.upper())} {change.baseline:.3f} -> {change.candidate:.3f}, "
        f"{_percent(change.change)}{interval}, tolerance {change.tolerance:.1%}{near_ties}"
    )


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
    yield from (*result.asides, *result.notes)
    if regressed and result.update_hint:
        yield result.update_hint
    elif missing and result.update_hint:
        yield "Mend what is missing; if the split or the prompts changed on purpose, record a new baseline."


def _rows(result: GateResult, verdict: Verdict) -> list[GateRow]:
    return [row for row in result.all_rows if row.verdict is verdict]


def _percent(share: float) -> str:
    return f"{share:+.1%}"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
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
