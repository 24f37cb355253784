"""A distribution in a few figures."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of ``count`` values, in the values' own unit (named by whoever holds this).

    ``std`` is the population's (divided by the count, so 0 for one value). Quantiles interpolate linearly between the
    neighbouring values, the lowest value being the 0-quantile and the highest the 1-quantile.
    """

    count: int
    min: float
    max: float
    mean: float
    std: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    q99: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Distribution | None:
        """The distribution of the values; ``None`` without any."""
        rows = sorted(values)
        if not rows:
            return None
        mean = fmean(rows)
        mean = min(max(mean, rows[0]), rows[-1])  # Rounding must not put it outside the values.
        return cls(
            len(rows),
            rows[0],
            rows[-1],
            mean,
            sqrt(fmean((value - mean) ** 2 for value in rows)),
            *(_quantile(rows, q) for q in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)),
        )


def _quantile(rows: Sequence[float], q: float) -> float:
    position = q * (len(rows) - 1)
    below = int(position)
    above = min(below + 1, len(rows) - 1)
    return rows[below] + (position - below) * (rows[above] - rows[below])
