"""The speed of each round of a calibration, as a baseline keeps it: what its round-to-round noise is known from."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from pytest_speedbench.metrics.rounds import RoundSpeed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.measure.run import Run

_DIGITS = 6


class RoundSpeeds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures of :class:`~pytest_speedbench.metrics.rounds.RoundSpeed`, one entry per round, in the order measured.

    All rounds are of one hardware key, so of one concurrency. Rounds that share a start of the engine do not show how
    starts differ.

    Raises:
        ValueError: figures of different numbers of rounds, or one that is not above 0.
    """

    output_tps: tuple[float | None, ...]
    user_tps: tuple[float | None, ...]
    ttft: tuple[float | None, ...]
    e2e: tuple[float | None, ...]
    step_time: tuple[float | None, ...]

    def __post_init__(self) -> None:
        """Check that the figures belong together."""
        figures = {name: getattr(self, name) for name in self.__struct_fields__}
        for name, values in figures.items():
            if len(values) != self.rounds:
                raise ValueError(f"{self.rounds} rounds of output_tps, but {len(values)} of {name}")
            if any(value is not None and not (isfinite(value) and value > 0) for value in values):
                raise ValueError(f"a round's {name} is not above 0")

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return len(self.output_tps)

    @classmethod
    def of_runs(cls, runs: Sequence[Run]) -> RoundSpeeds:
        """Of runs that were one round each, rounded to six digits."""
        speeds = [RoundSpeed.of(run) for run in runs]

        def column(metric: str) -> tuple[float | None, ...]:
            return tuple(_rounded(getattr(speed, metric)) for speed in speeds)

        return cls(**{name: column(name) for name in cls.__struct_fields__})


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
