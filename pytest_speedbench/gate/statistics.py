"""The paired ratio test, its interval, and Holm's correction.

Estimand: θ = mean(candidate) / mean(baseline) over the same prompts, so θ − 1 is the relative change of al_macro.
Linearised, its estimation error is the mean of r_i = (candidate_i − θ̂ · baseline_i) / mean(baseline), one per prompt.

Test of θ ≥ θ0 against θ < θ0: the larger of two one-sided p-values, both with n − 1 degrees of freedom:
Student's t of U = (θ̂ − θ0) / sd(r), and Hall's (1992) monotone skewness-corrected form of it,
√n · (U + γU²/3 + γ²U³/27 + γ/6n) with γ the skewness of r. Student's t alone calls far too many regressions when r is
skewed to the right (most prompts lose a little, few gain much); Hall's alone too many for heavy tails. Both are closed
forms, without random numbers, and can be inverted exactly: interval and verdict always agree.

Measured by ``python benchmarks/gate_level.py``: rejection rate at the boundary divided by the nominal one-sided 0.001,
100,000 repetitions of mean-zero data, standard error 0.1 at 1.

    data                          n    Student   Hall   larger p   bootstrap-t   sign flips
    normal                        16    1.0      1.3      0.7         1.1           1.0
    t with 3 degrees of freedom   16    0.4      2.0      0.3         2.2           0.8
    exponential, right-skewed     16   18.5      5.3      5.3         4.8          12.9
    normal                        80    1.0      1.1      1.0         1.0           1.1
    exponential, right-skewed     80    6.5      1.5      1.5         1.5           6.3
    exponential, left-skewed      80    0.1      0.9      0.1         0.8           0.1
    10 % of prompts gain much     80   14.0      1.0      1.0         3.5          17.7
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MIN_PROMPTS = 3
"""A spread and its skewness need at least three prompts."""

POWER = 0.8


@dataclass(frozen=True, slots=True)
class RatioTest:
    """Candidate over baseline, paired. ``spread`` is sd(r) and ``skewness`` γ, see the module.

    ``spread`` is 0 when every prompt changed by exactly the same ratio; then the ratio is known exactly.
    """

    prompts: int
    ratio: float
    spread: float
    skewness: float

    @classmethod
    def of(cls, baseline: ArrayLike, candidate: ArrayLike) -> RatioTest:
        """Estimate the ratio of the two means and its error from pairs in the same order.

        Raises:
            ValueError: no pairs, different numbers of values, or a baseline whose mean is not positive.
        """
        before = np.asarray(baseline, dtype=np.float64)
        after = np.asarray(candidate, dtype=np.float64)
        if before.shape != after.shape or before.size == 0 or not before.mean() > 0:
            raise ValueError("a ratio needs pairs of values with a positive baseline mean")
        ratio = 1.0 if np.array_equal(before, after) else float(after.mean() / before.mean())
        residuals = (after - ratio * before) / before.mean()
        spread = float(residuals.std(ddof=1)) if residuals.size > 1 else 0.0
        if spread < 1e-12:  # What rounding leaves of equal ratios.
            return cls(residuals.size, ratio, 0.0, 0.0)
        return cls(residuals.size, ratio, spread, _skewness(residuals))

    @property
    def testable(self) -> bool:
        """Whether there are prompts enough for a p-value and an interval."""
        return self.prompts >= MIN_PROMPTS

    def p_value(self, boundary: float) -> float:
        """One-sided p-value of a ratio at or above ``boundary``: small when the ratio is surely below it."""
        if self.spread == 0:
            return 0.0 if self.ratio < boundary - 1e-12 else 1.0
        root = sqrt(self.prompts)
        u = (self.ratio - boundary) / self.spread
        tail = root * max(u, _hall(u, self.skewness, self.prompts))
        return float(student.cdf(tail, self.prompts - 1))

    def interval(self, level: float) -> tuple[float, float]:
        """Lower and upper bound of the ratio, each with the one-sided error ``level``.

        The upper bound is below a boundary exactly when ``p_value(boundary) <= level``.
        """
        if self.spread == 0:
            return self.ratio, self.ratio
        quantile = float(student.isf(level, self.prompts - 1)) / sqrt(self.prompts)
        up = min(-quantile, _hall_inverse(-quantile, self.skewness, self.prompts))
        down = max(quantile, _hall_inverse(quantile, self.skewness, self.prompts))
        return self.ratio - self.spread * down, self.ratio - self.spread * up

    def detectable_drop(self, tolerance: float, level: float) -> float:
        """The smallest true relative drop found with a probability of 80 % at the one-sided ``level``.

        Approximately tolerance + (t at the level + t at 80 %) standard errors, at the spread seen here, at most 1.
        """
        quantiles = float(student.isf(level, self.prompts - 1)) + float(student.ppf(POWER, self.prompts - 1))
        return min(1.0, tolerance + quantiles * self.spread / sqrt(self.prompts))


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: reject where at most the family-wise error."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def holm_levels(p_values: Sequence[float], family_error: float) -> list[float]:
    """The level at which Holm's procedure tests each hypothesis, in the order given.

    The i-th smallest p-value (from 0) is tested at family_error / (m − i); all that are not rejected, at the level
    where the procedure stopped. A p-value is at or below its level exactly when Holm rejects it.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    levels = [family_error] * len(p_values)
    stopped: float | None = None
    for rank, index in enumerate(order):
        level = family_error / (len(p_values) - rank) if stopped is None else stopped
        if stopped is None and p_values[index] > level:
            stopped = level
        levels[index] = level
    return levels


def _skewness(residuals: NDArray[np.float64]) -> float:
    centred = residuals - residuals.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def _hall(u: float, skewness: float, n: int) -> float:
    """Hall's transformation on the scale of U; rising in u."""
    return u + skewness * u**2 / 3 + skewness**2 * u**3 / 27 + skewness / (6 * n)


def _hall_inverse(value: float, skewness: float, n: int) -> float:
    """The u whose transformation is ``value``: the cube in _hall is ((1 + γu/3)³ − 1) / γ."""
    if abs(skewness) < 1e-6:
        return value - skewness / (6 * n)
    return float((np.cbrt(1 + skewness * (value - skewness / (6 * n))) - 1) * 3 / skewness)
