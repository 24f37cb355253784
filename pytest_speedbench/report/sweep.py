"""A sweep becomes tables for a terminal or a log, and JSON with every figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.redaction import redacted
from pytest_speedbench.report.terminal import ABSENT, FigureTable, figure_table, number, render
from pytest_speedbench.sweeps.draft_length import AtConcurrency, DraftLengthSweep, RoundDone, Row
from pytest_speedbench.sweeps.speed import Interval

JSON_SCHEMA = "speedbench-draft-length/1"


def draft_length_json(sweep: DraftLengthSweep) -> bytes:
    """Every figure of the sweep, named as in :mod:`pytest_speedbench.sweeps.draft_length`; absent is null."""
    plain = redacted(msgspec.to_builtins(sweep, enc_hook=_plain))
    return msgspec.json.format(msgspec.json.encode({"schema": JSON_SCHEMA, **plain}), indent=2) + b"\n"


def round_line(done: RoundDone) -> str:
    """One round that was just measured, in a line."""
    what = f"K = {done.draft_length}" if done.draft_length else "no drafter"
    al = "" if done.result.al_macro is None else f", AL {done.result.al_macro:.3f}"
    speed = f"Output TPS {done.result.output_tps:.1f}"
    return f"[{done.number}/{done.total}] {what}, concurrency {done.concurrency}: {speed}{al}"


def draft_length_lines(sweep: DraftLengthSweep, *, width: int, colour: bool) -> list[str]:
    """What was swept, then for each concurrency speeds, acceptance and what they say."""
    sure = f"{1 - sweep.family_error:.0%}"
    whole = sweep.prompts == sweep.split.prompts
    prompts = f"{sweep.prompts} prompts" if whole else f"{sweep.prompts} of {sweep.split.prompts} prompts"
    how = "greedy" if sweep.sampling.greedy else f"temperature {sweep.sampling.temperature:g}"
    lines = [
        f"{sweep.pair.name}: {sweep.pair.model} + {sweep.pair.drafter}, K = {_list(sweep.plan.lengths)}",
        f"  {sweep.engine.name} {sweep.engine.version} on {sweep.engine.device}; {sweep.split.name}: {prompts}; {how}, "
        f"at most {sweep.sampling.max_output_tokens} tokens a turn; {sweep.plan.rounds} rounds; intervals at {sure}",
    ]
    once = _same_acceptance(sweep)
    for at in sweep.at:
        lines += ["", f"concurrency {at.concurrency}", render(_speeds(at), width=width, colour=colour)]
        lines += [f"  {line}" for line in [*conclusion(at, sure), *_notes(at)]]
        if not once:
            lines += ["", render(_acceptance(at), width=width, colour=colour)]
    if once:
        where = "" if len(sweep.at) == 1 else ", the same at every concurrency"
        lines += ["", f"acceptance{where}", render(_acceptance(sweep.at[0]), width=width, colour=colour)]
    return lines


def conclusion(at: AtConcurrency, sure: str) -> list[str]:
    """What the figures at one concurrency say, in sentences. ``sure`` is the confidence in words."""
    best = at.row(at.best)
    speedup = f"{_ratio(best.speedup)} the Output TPS of no drafter"
    others = [f"K = {k}" for k in at.may_be_best if k != at.best]
    word = "best" if at.pays == "speed-up" else "fastest"  # a slowdown is not a best
    if len(at.rows) == 2:
        lines = [f"K = {at.best}: {speedup}."]
    elif others:
        lines = [
            f"{word}: K = {at.best}, {speedup}; not surely faster than {', '.join(others)} "
            f"(with {sure} the best is one of these {len(at.may_be_best)})."
        ]
    else:
        lines = [f"{word}: K = {at.best}, {speedup}; faster than every other K, with {sure}."]
    if at.pays == "slowdown":
        slower = "with every K the engine is slower than without a drafter, so that no draft length pays"
        lines.insert(0, f"Speculation is a slowdown here: {slower}.")
    elif at.pays == "undecided":
        lines.insert(0, "No K is surely faster than no drafter here.")
    return lines


def _notes(at: AtConcurrency) -> list[str]:
    notes = []
    if at.drifted:
        notes.append(
            f"warning: without a drafter, speed at the end was {_ratio(at.drift)} that at the beginning. "
            "The machine changed meanwhile, so differences between draft lengths may be its own."
        )
    sources = {row.acceptance.source for row in at.rows if row.acceptance}
    if None in sources:
        notes.append("note: the engine reports no acceptance for some K.")
    weaker = sorted(source.value for source in sources if source not in (None, AcceptanceSource.ENGINE))
    notes += [f"note: acceptance from {source}, not from the engine's own per-request record." for source in weaker]
    uneven = [row for row in at.rows if len(set(row.al_by_round)) > 1]
    if uneven:
        spread = (f"K = {row.draft_length} {_span(row)}" for row in uneven)
        notes.append(f"note: acceptance differed between rounds (AL macro): {'; '.join(spread)}.")
    different = [(row.draft_length, row.different_outputs) for row in at.rows if row.different_outputs]
    if different:
        counts = ", ".join(f"{f'K = {k}' if k else 'no drafter'} {count}" for k, count in different)
        notes.append(f"note: prompts whose output is not the first one without a drafter: {counts}.")
    return notes


def _span(row: Row) -> str:
    known = [al for al in row.al_by_round if al is not None]
    missing = "" if len(known) == len(row.rounds) else f", {len(row.rounds) - len(known)} rounds without"
    return f"{min(known):.3f} … {max(known):.3f}{missing}"


def _speeds(at: AtConcurrency) -> FigureTable:
    table = figure_table("K", "Output TPS", "interval", "speed-up", "interval", "User TPS", names="right")
    for row in at.rows:
        speedup = row.speedup
        table.add_row(
            str(row.draft_length) if row.draft_length else "none",
            f"{row.output_tps.estimate:.1f}",
            f"{row.output_tps.lower:.1f} … {row.output_tps.upper:.1f}",
            ABSENT if speedup is None else f"{speedup.estimate:.3f}",
            ABSENT if speedup is None else f"{speedup.lower:.3f} … {speedup.upper:.3f}",
            number(row.user_tps_q50, 1),
            style="bold" if row.draft_length == at.best else None,
        )
    return table


def _acceptance(at: AtConcurrency) -> FigureTable:
    figures = {row.draft_length: row.acceptance for row in at.rows if row.acceptance}
    rates = (f"AR@{k}" for k in range(1, max(figures) + 1))
    table = figure_table("K", "AL macro", "AL pooled", "tok/step", *rates, names="right")
    for length, row in figures.items():
        lengths = (row.al_macro, row.al_pooled, row.tokens_per_decode_step)
        table.add_row(str(length), *(number(value, 3) for value in (*lengths, *row.conditional_rates)))
    return table


def _same_acceptance(sweep: DraftLengthSweep) -> bool:
    """Whether acceptance was the same, step for step, at every concurrency."""
    return len({tuple(row.acceptance for row in at.rows) for at in sweep.at}) == 1


def _ratio(interval: Interval | None) -> str:
    if interval is None:
        return ABSENT
    return f"{interval.estimate:.3f}× [{interval.lower:.3f}, {interval.upper:.3f}]"


def _list(values: tuple[int, ...]) -> str:
    if len(values) > 2 and values == tuple(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(str(value) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError
