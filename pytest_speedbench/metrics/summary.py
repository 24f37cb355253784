"""All figures of a run in one place, for the reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_speedbench.metrics import speedbench_compat
from pytest_speedbench.metrics.acceptance import AcceptanceSummary, summarize_acceptance
from pytest_speedbench.metrics.throughput import Throughput, throughput

if TYPE_CHECKING:
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.metrics.speedbench_compat import SpeedBenchFigures


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures. ``speedbench`` is counted as SPEED-Bench's tool counts, from the records."""

    acceptance: AcceptanceSummary
    throughput: Throughput
    speedbench: SpeedBenchFigures


def summarize(run: Run) -> Summary:
    """Compute every figure of a run."""
    return Summary(
        acceptance=summarize_acceptance(run.conversations, run.counters),
        throughput=throughput(run),
        speedbench=speedbench_compat.from_records(run.conversations),
    )
