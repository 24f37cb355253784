"""The engine's own counters around a measurement: the record to fall back on, and a check on the requests' own."""

from __future__ import annotations

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import CountsSpeculation, Engine, SpeculationCounters
from pytest_speedbench.errors import EngineError


async def read_counters(engine: Engine) -> SpeculationCounters | None:
    """The engine's counters now; ``None`` if it has none."""
    return await engine.counters() if isinstance(engine, CountsSpeculation) else None


def counted(
    before: SpeculationCounters | None, after: SpeculationCounters | None, pair: Pair
) -> AcceptanceRecord | None:
    """What was counted between two readings; ``None`` without counters or without a drafter.

    Position k is accepted in every step that accepted at least k tokens, so the histogram is the differences of
    neighbouring positions. Counters know nothing of steps without a draft or of discarded tokens.

    Raises:
        EngineError: the counters went backwards, or contradict each other.
    """
    if after is None or pair.drafter is None:
        return None
    start = before or SpeculationCounters(0, 0, ())
    earlier = start.accepted_per_position + (0,) * len(after.accepted_per_position)
    survivors = [after.verify_steps - start.verify_steps]
    survivors += [now - then for now, then in zip(after.accepted_per_position, earlier, strict=False)]
    proposed = after.proposed_tokens - start.proposed_tokens
    if min(*survivors, proposed) < 0:
        raise EngineError(
            f"The speculation counters of the engine {pair.engine} went backwards during the measurement.",
            "Something reset them or restarted the engine; measure again, with nobody else using it.",
        )
    histogram = tuple(count - more for count, more in zip(survivors, [*survivors[1:], 0], strict=True))
    try:
        return AcceptanceRecord(
            draft_length=len(after.accepted_per_position),
            histogram=histogram,
            proposed_tokens=proposed,
            undrafted_steps=None,
            source=AcceptanceSource.COUNTERS,
        )
    except ValueError as error:
        raise EngineError(
            f"The speculation counters of the engine {pair.engine} contradict each other: {error}.",
            "Measure again, with nobody else using the engine.",
        ) from error
