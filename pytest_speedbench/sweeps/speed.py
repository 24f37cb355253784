"""What rounds of the same load say about speed: intervals, ratios, and which condition may be the fastest.

The unit of a speed's uncertainty is the round: one pass over all prompts gives one Output TPS. Everything is computed
on the logarithm of Output TPS, so means are geometric and differences are ratios. With y̅_i, s_i² and n_i the mean,
variance and number of rounds of condition i, the difference of two conditions has the bound t · standard error, the
larger one of

- Welch (1947): standard error √(s_i²/n_i + s_j²/n_j), with the Welch–Satterthwaite degrees of freedom,
- pooled: standard error √(s²(1/n_i + 1/n_j)), s² the mean variance of all conditions, weighted by n − 1, Σ(n − 1)
  degrees of freedom.

Welch's alone fails where a condition's few rounds happen to lie close together; the pooled one where a condition is
much noisier than the others; the larger of both holds its level and hardly loses power
(``tests/unit/test_sweep_speed.py``).

Which condition may be the fastest is a multiple comparison with the best (Gupta 1965; Hsu 1984, Annals of Statistics
12, 1136–1144) with Bonferroni's correction: condition i is left out when some other is above it at the one-sided
level error / (m − 1). The truly fastest has only m − 1 others to be wrongly beaten by, so it is left out with a
probability of at most ``error``, whichever condition looks the fastest: nothing is selected before it is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import fmean, variance

from scipy.special import stdtrit

MIN_ROUNDS = 3
"""Two rounds have a spread in name only: its t quantile at 99 % is 64."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its lower and upper bound, in the estimate's unit."""

    estimate: float
    lower: float
    upper: float


def mean_interval(tps: Sequence[float], error: float) -> Interval:
    """The geometric mean of at least two positive speeds, and its two-sided t interval at 1 − ``error``."""
    logs = [log(value) for value in tps]
    centre = fmean(logs)
    half = _t(error / 2, len(logs) - 1) * sqrt(variance(logs, centre) / len(logs))
    return _interval(centre, half)


class Speeds:
    """Output TPS of several conditions under one load, at least two rounds of each."""

    def __init__(self, tps: Sequence[Sequence[float]]) -> None:
        logs = [[log(value) for value in rounds] for rounds in tps]
        self._means = [fmean(rounds) for rounds in logs]
        self._variances = [variance(rounds) for rounds in logs]
        self._rounds = [len(rounds) for rounds in logs]
        self._freedom = sum(self._rounds) - len(logs)
        weighted = ((n - 1) * v for n, v in zip(self._rounds, self._variances, strict=True))
        self._pooled = sum(weighted) / self._freedom

    def ratio(self, condition: int, reference: int, error: float) -> Interval:
        """How many times as fast as the reference, two-sided at 1 − ``error``."""
        difference = self._means[condition] - self._means[reference]
        return _interval(difference, self._half_width(condition, reference, error / 2))

    def may_be_fastest(self, conditions: Sequence[int], error: float) -> tuple[int, ...]:
        """Those of the conditions that may be the fastest of them; with 1 − ``error`` the truly fastest is among them.

        The one with the highest mean always is.
        """
        level = error / max(1, len(conditions) - 1)
        return tuple(
            i for i in conditions if not any(self._is_faster(other, i, level) for other in conditions if other != i)
        )

    def fastest(self, conditions: Sequence[int]) -> int:
        """The one of the conditions that has the highest geometric mean."""
        return max(conditions, key=self._means.__getitem__)

    def _is_faster(self, one: int, other: int, level: float) -> bool:
        return self._means[one] - self._means[other] > self._half_width(one, other, level)

    def _half_width(self, i: int, j: int, level: float) -> float:
        v_i, v_j = self._variances[i] / self._rounds[i], self._variances[j] / self._rounds[j]
        welch = pooled = 0.0
        if v_i + v_j > 0:
            freedom = (v_i + v_j) ** 2 / (v_i**2 / (self._rounds[i] - 1) + v_j**2 / (self._rounds[j] - 1))
            welch = _t(level, freedom) * sqrt(v_i + v_j)
        if self._pooled > 0:
            error = sqrt(self._pooled * (1 / self._rounds[i] + 1 / self._rounds[j]))
            pooled = _t(level, self._freedom) * error
        return max(welch, pooled)


def _t(level: float, freedom: float) -> float:
    """The quantile of Student's t that is exceeded with this probability."""
    return -float(stdtrit(freedom, level))


def _interval(centre: float, half: float) -> Interval:
    return Interval(exp(centre), exp(centre - half), exp(centre + half))
