"""How many prompts a gate needs becomes a table for a terminal or a log, and JSON with every figure."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import msgspec

from pytest_speedbench.gate.effects import MIN_PROMPTS
from pytest_speedbench.gate.noise import OVERALL
from pytest_speedbench.gate.power import MOST_PROMPTS
from pytest_speedbench.report.terminal import ABSENT, figure_table, render, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_speedbench.gate.power import Need, PowerPlan

JSON_SCHEMA = "speedbench-power/1"


def power_lines(plan: PowerPlan, *, width: int, colour: bool) -> list[str]:
    """What the baseline's prompts see and how many would be needed, by category, and under which assumptions."""
    drops = [f"to find {drop:.1%}" for drop in plan.drops]
    table = figure_table("", "prompts", "tolerance", "sees drops from", *drops)
    for row in plan.all_rows:
        if row.name == OVERALL:
            table.add_section()
        seen = ABSENT if row.detectable is None else f"{_percent(row.detectable)} ({_percent(row.detectable_early)})"
        cells = (str(row.prompts), share(row.tolerance), seen, *(_need(need) for need in row.needs))
        table.add_row(row.name, *cells)
    return [
        f"prompts for a gate against {plan.against}: {plan.figure}, drops found {_odds(plan.power)}",
        f"  {plan.tests} tests at a family-wise error of {plan.family_error:g}: each at {plan.level:.2g} until one is "
        "found; in brackets with early stopping",
        render(table, width=width, colour=colour),
        *(line for words in _words(plan) for line in wrap(words, width, initial_indent="  ", subsequent_indent="  ")),
    ]


def power_json(plan: PowerPlan) -> bytes:
    """Every figure of the plan; drops and probabilities are shares, absent is null."""
    content = {"schema": JSON_SCHEMA, **msgspec.to_builtins(plan)}
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def _need(need: Need) -> str:
    if need.accepted:
        return "accepted"
    if need.by_noise:
        return "run noise"
    return f"{_number(need.prompts)} ({_number(need.early)})"


def _words(plan: PowerPlan) -> Iterator[str]:
    yield (
        "Planned for the worst case: every prompt is decoded anew on both sides, its steps scatter as in the baseline, "
        "independently of each other, and every prompt loses the same share."
    )
    yield (
        "Where outputs do not change, smaller drops are seen; where few prompts lose much or steps hang together, only "
        "larger ones."
    )
    needs = [need for row in plan.all_rows for need in row.needs]
    if plan.overall is not None:
        yield f"{OVERALL}: of all categories together, if each loses the same share."
    if any(need.accepted for need in needs):
        yield "accepted: the drop is within the tolerance, so no gate is to find it."
    if any(row.detectable is None for row in plan.all_rows):
        yield f"{ABSENT}: fewer than {MIN_PROMPTS} prompts are not judged."
    if plan.unusable:
        yield f"{plan.unusable} prompts of the baseline ended before their first decode step and are not counted."
    for name, reason in plan.not_judged.items():
        yield f"{name}: no gate can judge it. {reason[0].upper()}{reason[1:]}."
    yield from _noise_words(plan, hidden=any(need.by_noise for need in needs))


def _noise_words(plan: PowerPlan, *, hidden: bool) -> Iterator[str]:
    if plan.runs is None:
        yield (
            "The baseline is not calibrated: what moves a whole run is not counted (record one with: speedbench "
            "calibrate 5)."
        )
        return
    bounds = [(row.name, row.detectable_by_noise) for row in plan.all_rows if row.detectable_by_noise is not None]
    if not bounds:
        yield f"The {plan.runs} runs of the calibration show no noise that whole runs have in common."
        return
    words = ", ".join(f"{name} {_percent(bound)}" for name, bound in bounds)
    yield (
        f"Noise of whole runs, as {plan.runs} runs show it, is counted; against it no number of prompts helps. However "
        f"many are asked, drops are seen from: {words}."
    )
    if hidden:
        yield "run noise: hidden by it from any number of prompts; calibrate with more runs, or make runs steadier."


def _number(prompts: int | None) -> str:
    return f">{MOST_PROMPTS}" if prompts is None else str(prompts)


def _odds(power: float) -> str:
    return "4 times in 5" if power == 0.8 else f"with a probability of {power:.0%}"


def _percent(value: float | None) -> str:
    return share(value)
