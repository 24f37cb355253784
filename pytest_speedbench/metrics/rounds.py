"""The speed of one round: one pass over all prompts at one concurrency, the unit of every speed comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_speedbench.metrics.throughput import throughput

if TYPE_CHECKING:
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.metrics.distribution import Distribution


@dataclass(frozen=True, slots=True)
class RoundSpeed:
    """How fast one round was; what cannot be known is ``None``, nothing is 0.

    The fields are named as in :data:`pytest_speedbench.tolerance.SPEED_METRICS`.

    Attributes:
        output_tps: Output TPS of the whole round, in tokens per second.
        user_tps: median User TPS over the round's requests, in tokens per second.
        ttft: median over requests, in seconds.
        e2e: median over requests, in seconds.
        step_time: median over all gaps between emissions of one request, in seconds.
    """

    output_tps: float | None
    user_tps: float | None
    ttft: float | None
    e2e: float | None
    step_time: float | None

    @classmethod
    def of(cls, run: Run) -> RoundSpeed:
        """The speed of a run that was one round."""
        speed = throughput(run)
        return cls(
            output_tps=speed.output_tps or None,
            user_tps=_median(speed.user_tps),
            ttft=_median(speed.ttft_s),
            e2e=_median(speed.e2e_s),
            step_time=_median(speed.step_time_s),
        )


def _median(values: Distribution | None) -> float | None:
    """A median time of 0 is a clock too coarse, not a time."""
    return values.q50 or None if values else None
