"""Acceptance lengths of requests with their chunks, by the engine's record and as clients count."""

from __future__ import annotations

from typing import Any


def engine_al(requests: dict[str, Any]) -> float:
    """The engine's own pooled acceptance length."""
    histograms: list[list[int]] = [request["histogram"] for request in requests.values()]
    accepted = sum(j * count for histogram in histograms for j, count in enumerate(histogram))
    return 1 + accepted / sum(map(sum, histograms))


def chunk_al(requests: dict[str, Any], *, prefill: bool) -> float:
    """Tokens per chunk, as clients count it."""
    chunks: list[int] = [size for r in requests.values() for size in r["chunks"][0 if prefill else 1 :]]
    return sum(chunks) / len(chunks)


def largest_chunk(requests: dict[str, Any]) -> int:
    sizes: list[int] = [size for request in requests.values() for size in request["chunks"]]
    return max(sizes)
