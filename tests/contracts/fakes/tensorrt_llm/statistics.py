"""Iteration statistics: rows in a queue, and a silence that ends their reading until somebody says otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from .strict import Seen, SeenFields

RESULT_NAMES = ("set_timeout", "mark_undone", "get_results")
ROW_NAMES = ("iter", "iterLatencyMS", "numActiveRequests", "specDecodingStats", "attentionDpRank")
SECTION_NAMES = (
    *("numDraftTokens", "numAcceptedTokens", "numRequestsWithDraftTokens", "acceptanceLength", "iterLatencyMS"),
    "draftOverhead",
)


class IterationResult:
    """What ``get_stats_async`` gives, the same object every time."""

    def __init__(self) -> None:
        self.rows: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._done = False
        self._timeout = 2.0

    def set_timeout(self, timeout: float) -> None:
        self._timeout = timeout

    def mark_undone(self) -> None:
        self._done = False

    def __aiter__(self) -> IterationResult:
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        if self._done:
            raise StopAsyncIteration
        try:
            return await asyncio.wait_for(self.rows.get(), self._timeout)
        except asyncio.TimeoutError:
            self._done = True
            raise StopAsyncIteration from None

    def seen(self) -> Seen:
        """As an adapter gets it."""
        return Seen("IterationResult", RESULT_NAMES, self)


def row(iteration: int, draft_length: int, accepted: int | None) -> Mapping[str, Any]:
    """One iteration of one request; ``None`` for one without a draft."""
    section = {
        "numDraftTokens": 0 if accepted is None else draft_length,
        "numAcceptedTokens": accepted or 0,
        "numRequestsWithDraftTokens": 0 if accepted is None else 1,
        "acceptanceLength": 0.0 if accepted is None else accepted + 1.0,
        "iterLatencyMS": 0.0,
        "draftOverhead": 0.0,
    }
    fields = {"iter": iteration, "specDecodingStats": SeenFields("specDecodingStats", SECTION_NAMES, section)}
    return SeenFields("iteration statistics", ROW_NAMES, fields)
