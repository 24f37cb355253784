"""What a run means in figures: acceptance, throughput, and both as SPEED-Bench counts them."""

from pytest_speedbench.metrics.acceptance import AcceptanceFigures, AcceptanceSummary, summarize_acceptance
from pytest_speedbench.metrics.distribution import Distribution
from pytest_speedbench.metrics.lossless import Difference, differences
from pytest_speedbench.metrics.summary import Summary, summarize
from pytest_speedbench.metrics.throughput import Throughput, throughput, throughput_of

__all__ = [
    "AcceptanceFigures",
    "AcceptanceSummary",
    "Difference",
    "Distribution",
    "Summary",
    "Throughput",
    "differences",
    "summarize",
    "summarize_acceptance",
    "throughput",
    "throughput_of",
]
