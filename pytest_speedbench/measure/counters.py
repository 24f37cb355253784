"""The engine's own counters around a measurement: the record to fall back on, and a check on the requests' own."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, AcceptanceTotals, Counted
from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import CountsSpeculation, Engine, SpeculationCounters
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.run import Conversation


async def read_counters(engine: Engine) -> SpeculationCounters | None:
    """The engine's counters now; ``None`` if it has none."""
    return await engine.counters() if isinstance(engine, CountsSpeculation) else None


def counted(before: SpeculationCounters | None, after: SpeculationCounters | None, pair: Pair) -> Counted | None:
    """What was counted between two readings; ``None`` without counters or without a drafter.

    Counters that tell no positions apart give totals.

    Position k is accepted in every step that accepted at least k tokens, so the histogram is the differences of
    neighbouring positions. Counters know nothing of steps without a draft or of discarded tokens.

    Raises:
        EngineError: the counters went backwards, or contradict each other.
    """
    if after is None or pair.drafter is None:
        return None
    start = before or SpeculationCounters(0, 0, ())
    steps = after.verify_steps - start.verify_steps
    proposed = None if after.proposed_tokens is None else after.proposed_tokens - (start.proposed_tokens or 0)
    now = _accepted(after)
    accepted = [count - earlier for count, earlier in zip(now, (*_accepted(start), *(0 for _ in now)), strict=False)]
    if min(steps, proposed or 0, *accepted) < 0:
        raise EngineError(
            f"The speculation counters of the engine {pair.engine} went backwards during the measurement.",
            "Something reset them or restarted the engine; measure again, with nobody else using it.",
        )
    try:
        if after.accepted_per_position is None:
            return AcceptanceTotals(steps, accepted[0], proposed)
        survivors = [steps, *accepted]
        return AcceptanceRecord(
            draft_length=len(accepted),
            histogram=tuple(count - more for count, more in zip(survivors, [*accepted, 0], strict=True)),
            proposed_tokens=proposed,
            undrafted_steps=None,
            source=AcceptanceSource.COUNTERS,
        )
    except ValueError as error:
        raise EngineError(
            f"The speculation counters of the engine {pair.engine} contradict each other: {error}.",
            "Measure again, with nobody else using the engine.",
        ) from error


def check_counted(counted: Counted, conversations: Iterable[Conversation], pair: Pair) -> None:
    """Refuse counters that stand in for the requests' records and counted more than the run's own requests.

    They may have counted less: steps without a draft are in none of them. Where requests have records the counters
    decide nothing, whoever else moved them.

    Raises:
        EngineError: they did.
    """
    turns = [turn for conversation in conversations for turn in conversation.turns]
    if any(turn.acceptance is not None for turn in turns):
        return
    outputs = [len(turn.output_ids) for turn in turns]
    arrived = sum(outputs) - len(outputs)
    longest = pair.drafter.draft_length if pair.drafter is not None else 0
    if isinstance(counted, AcceptanceRecord):
        longest = max(longest, counted.draft_length)
    made = counted.verify_steps + counted.accepted_tokens
    if made > arrived + longest * len(outputs):
        raise EngineError(
            f"The speculation counters of the engine {pair.engine} are not of this run alone: {counted.verify_steps} "
            f"verify steps made {made} tokens, and {arrived} arrived in {len(outputs)} requests besides the prefills'.",
            "Let nobody else use the engine meanwhile, or turn on its per-request acceptance metrics.",
        )


def _accepted(counters: SpeculationCounters) -> tuple[int, ...]:
    """Accepted tokens by position; all in one where positions are not told apart."""
    positions = counters.accepted_per_position
    return (counters.accepted_in_all or 0,) if positions is None else positions
