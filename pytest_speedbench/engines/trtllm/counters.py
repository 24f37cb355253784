"""Speculation in TensorRT-LLM's iteration statistics, summed while it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.engines.counts import count
from pytest_speedbench.errors import EngineError

_SECTION = "specDecodingStats"
_RANK = "attentionDpRank"
_QUIET_S = 1.0


@dataclass(slots=True)
class IterationCounts:
    """Sums over iterations. The length that each iteration states is left aside: a mean of means is not the mean."""

    verify_steps: int = 0
    accepted_tokens: int = 0
    seen: bool = False

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one iteration's statistics. Other attention ranks repeat the first one's section."""
        section = row.get(_SECTION)
        if section is None or row.get(_RANK, 0) != 0:
            return
        self.seen = True
        try:
            self.verify_steps += count(section["numRequestsWithDraftTokens"], "numRequestsWithDraftTokens")
            self.accepted_tokens += count(section["numAcceptedTokens"], "numAcceptedTokens")
        except (KeyError, ValueError) as error:
            words = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
            raise EngineError(
                f"TensorRT-LLM's {_SECTION} {words}.",
                "Turn its iteration statistics off: set the engine argument enable_iter_perf_stats to false.",
            ) from error

    def counters(self) -> SpeculationCounters | None:
        """The sums; ``None`` if no iteration had anything to say on speculation.

        Proposed tokens are absent: TensorRT-LLM 1.2 counts the draft for the next step, less its tokens with the id 0.
        """
        if not self.seen:
            return None
        return SpeculationCounters(self.verify_steps, None, None, accepted_in_all=self.accepted_tokens)


class IterationLog:
    """Reads the statistics of a running engine, which keeps only the last thousand iterations of them.

    Args:
        llm: TensorRT-LLM's ``LLM``.
    """

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self._counts = IterationCounts()
        self._reading = asyncio.Lock()
        self._stopping = False
        self._task = asyncio.create_task(self._read_on())

    async def counters(self) -> SpeculationCounters | None:
        """The sums when nothing more has come for a while."""
        await self._read(_QUIET_S)
        return self._counts.counters()

    async def stop(self) -> None:
        """Read no more."""
        self._stopping = True  # a cancellation that comes together with a row is lost before Python 3.12
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read_on(self) -> None:
        while not self._stopping:
            await self._read(_QUIET_S)
            await asyncio.sleep(_QUIET_S / 10)

    async def _read(self, quiet_s: float) -> None:
        async with self._reading:
            rows = self._llm.get_stats_async(timeout=quiet_s)
            # It takes a silence for the end until the next request, and there may be none.
            if hasattr(rows, "mark_undone"):
                rows.mark_undone()
            with contextlib.suppress(IndexError):  # raised for an empty queue
                async for row in rows:
                    self._counts.add(row)
