"""vLLM's own counters of speculation, in the process that runs it."""

from __future__ import annotations

from typing import Any

from pytest_speedbench.engines.base import SpeculationCounters

_PREFIX = "vllm:spec_decode_num_"


def speculation_counters() -> SpeculationCounters | None:
    """The counters of all ranks together; ``None`` before vLLM has registered any."""
    from vllm.v1.metrics.reader import get_metrics_snapshot

    return from_snapshot(get_metrics_snapshot())


def from_snapshot(metrics: list[Any]) -> SpeculationCounters | None:
    """Sum vLLM's metric objects (``name``, and ``value`` or ``values``) over their labels, which tell ranks apart."""
    sums = {"drafts": 0, "draft_tokens": 0}
    seen: set[str] = set()
    per_position: list[int] = []
    for metric in metrics:
        name = metric.name.removeprefix(_PREFIX)
        if name in sums:
            seen.add(name)
            sums[name] += int(metric.value)
        elif name == "accepted_tokens_per_pos":
            per_position += [0] * (len(metric.values) - len(per_position))
            for position, count in enumerate(metric.values):
                per_position[position] += int(count)
    if seen != set(sums) or not per_position:
        return None
    return SpeculationCounters(sums["drafts"], sums["draft_tokens"], tuple(per_position))
