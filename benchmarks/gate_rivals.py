"""What else could gate: plain tests, other ways to stop early, other corrections, and the rules in use today.

All see the draws that the gate sees, and all but the field's rules the same tolerance and family-wise error.
"""

from __future__ import annotations

from itertools import pairwise
from math import log, sqrt

import numpy as np
from gate_replay import ALL, BOUNDARY, Prefixes, common_of
from gate_worlds import HIT, Floats, Measured
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr

from pytest_speedbench.config import DEFAULT_FAMILY_ERROR
from pytest_speedbench.gate.effects import COMMON_WEIGHT, Common, Estimate
from pytest_speedbench.gate.figures import LENGTHS
from pytest_speedbench.gate.multiplicity import holm_adjusted
from pytest_speedbench.gate.sequential import looks_at

RESAMPLES = 2000
TUNED_FOR = 13
"""The confidence sequence is tightest at about so many prompts."""
FIRST_PROMPTS = 3
_GRID = 400


def paired_t(measured: Measured) -> list[set[int]]:
    """Student's paired t of al_macro in every category, with Holm: the categories that regressed, by run."""
    p_values = _t_p_values(measured, measured.after.shape[3])
    adjusted = [holm_adjusted(of_run) for of_run in p_values.tolist()]
    return [{i for i, p in enumerate(of_run) if p <= DEFAULT_FAMILY_ERROR} for of_run in adjusted]


def pocock_t(measured: Measured) -> Floats:
    """The same at the gate's looks, at Pocock's constant level: when a category was found, infinity if never."""
    prompts = measured.after.shape[3]
    looks = looks_at(prompts)
    level = pocock_level(looks, DEFAULT_FAMILY_ERROR / ALL)
    found: Floats = np.full(measured.after.shape[:1] + measured.after.shape[2:3], np.inf)
    for look in looks:
        found[np.isinf(found) & (_t_p_values(measured, look) <= level)] = look
    return found


def pocock_level(looks: tuple[int, ...], error: float) -> float:
    """The one-sided level of each look at a Brownian motion such that all looks together have this error."""

    trapezoid = np.ones(_GRID)
    trapezoid[[0, -1]] = 0.5

    def excess(z: float) -> float:
        bounds = [z * sqrt(look) for look in looks]
        grid = np.linspace(-8 * sqrt(looks[0]), bounds[0], _GRID)
        density = np.exp(-(grid**2) / 2 / looks[0]) / sqrt(2 * np.pi * looks[0])
        crossed = float(ndtr(-z))
        for (one, other), bound in zip(pairwise(looks), bounds[1:], strict=True):
            sd = sqrt(other - one)
            weighted = density * trapezoid * (grid[1] - grid[0])
            crossed += float(weighted @ ndtr((grid - bound) / sd))
            following = np.linspace(-8 * sqrt(other), bound, _GRID)
            density = np.exp(-(((following[:, None] - grid) / sd) ** 2) / 2) @ weighted / (sd * sqrt(2 * np.pi))
            grid = following
        return crossed - error

    return float(ndtr(-brentq(excess, 2.0, 6.0, xtol=1e-4)))


def _t_p_values(measured: Measured, prompts: int) -> Floats:
    before, after = (_lengths(side[:, 0, :, :prompts]) for side in (measured.before, measured.after))
    loss = after - BOUNDARY * before
    error = loss.std(axis=-1, ddof=1) / sqrt(prompts)
    p_values: Floats = stdtr(prompts - 1, loss.mean(axis=-1) / np.maximum(error, 1e-12))
    return p_values


def _lengths(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    lengths: Floats = counts @ (1.0 + np.arange(counts.shape[-1])) / counts.sum(axis=-1)
    return lengths


def confidence_sequence(prefixes: Prefixes, run: int) -> float:
    """When a normal-mixture confidence sequence finds the hit category, looking after every prompt from the third.

    It has the gate's own figures, variances and p-values, turned into normal deviates, and Bonferroni over the figures.
    Its mixing variance is set with the final variance in hand, which a real one would have to guess. Infinity if never.
    """
    error = DEFAULT_FAMILY_ERROR / len(LENGTHS) / (ALL + 1)
    found = np.inf
    for metric in LENGTHS:
        last = _estimate(prefixes, run, prefixes.prompts, metric)
        rho = TUNED_FOR / prefixes.prompts / last.variance if last.variance else 1.0
        for prompts in range(FIRST_PROMPTS, prefixes.prompts + 1):
            estimate = _estimate(prefixes, run, prompts, metric)
            if not estimate.variance:
                continue
            information = 1 / estimate.variance
            deviate = -float(ndtri(max(estimate.p_value(BOUNDARY), 1e-300)))
            mixed = (information + rho) / rho
            if deviate * sqrt(information) >= sqrt(2 * rho * mixed * log(sqrt(mixed) / (2 * error) + 1)):
                found = min(found, prompts)
                break
    return found


def _estimate(prefixes: Prefixes, run: int, prompts: int, metric: str) -> Estimate:
    ratios = [prefixes.ratio(run, row, prompts, metric) for row in range(ALL)]
    return Estimate.of(ratios[HIT], Common.of(ratios), early=prompts < prefixes.prompts)


def max_t(prefixes: Prefixes, run: int, rng: np.random.Generator) -> set[int]:
    """Rows that a step-down maximum test over resampled conversations finds, with the gate's moderated variances."""
    before, after, changed = prefixes.sides(run)
    weights = rng.multinomial(
        prefixes.prompts, np.full(prefixes.prompts, 1 / prefixes.prompts), size=(ALL, RESAMPLES)
    ).astype(np.float64)
    statistics, resampled = [], []
    for metric in LENGTHS:
        (x, u, s), (y, v, r) = (tuple(part[0] for part in side.sums(metric)) for side in (before, after))
        products = np.stack(
            [
                x,
                u,
                y,
                v,
                x * x,
                x * u,
                u * u,
                y * y,
                y * v,
                v * v,
                x * y,
                x * v,
                u * y,
                u * v,
                s * changed,
                r * changed,
            ],
            axis=-1,
        )
        sums = weights @ products
        sums = np.concatenate([sums, sums.sum(axis=0, keepdims=True)])
        ratios = [prefixes.ratio(run, row, prefixes.prompts, metric) for row in range(ALL + 1)]
        common = Common.of(ratios[:ALL])
        for row, ratio in enumerate(ratios):
            estimate = Estimate.of(ratio, common_of(common, row))
            if not estimate.variance:
                continue
            prompts = ratio.prompts
            change, own, implied = _resampled(sums[row], prompts)
            variance = (COMMON_WEIGHT * common.dispersion * implied + ratio.freedom * own) / estimate.freedom
            statistics.append((row, (estimate.log_ratio - log(BOUNDARY)) / sqrt(estimate.variance)))
            resampled.append((change - estimate.log_ratio) / np.sqrt(np.maximum(variance, 1e-30)))
    return _step_down(statistics, np.array(resampled))


def _resampled(sums: Floats, prompts: int) -> tuple[Floats, Floats, Floats]:
    """Log ratio, own and implied variance, by resample."""
    x, u, y, v, xx, xu, uu, yy, yv, vv, xy, xv, uy, uv, s, r = sums.T
    f, g = x / u, y / v
    own = (yy - 2 * g * yv + g * g * vv) / y**2 + (xx - 2 * f * xu + f * f * uu) / x**2
    own -= 2 * (xy - g * xv - f * uy + f * g * uv) / (x * y)
    return np.log(g / f), own * prompts / (prompts - 1), s / x**2 + r / y**2


def _step_down(statistics: list[tuple[int, float]], resampled: Floats) -> set[int]:
    order = np.argsort([value for _, value in statistics])
    lowest = np.minimum.accumulate(resampled[order[::-1]], axis=0)[::-1]
    found = set()
    for rank, index in enumerate(order):
        row, value = statistics[index]
        if ((lowest[rank] <= value).sum() + 1) / (RESAMPLES + 1) > DEFAULT_FAMILY_ERROR:
            break
        found.add(row)
    return found


def field_rules(measured: Measured) -> dict[str, list[bool]]:
    """Whether each of the rules in use today fails a run; the last one names the hit category."""
    before, after = measured.before[:, 0], measured.after[:, 0]
    of_all = [_lengths(side.sum(axis=(1, 2))) for side in (before, after)]
    ratio = of_all[1] / of_all[0]
    of_category = _lengths(after).mean(axis=-1) / _lengths(before).mean(axis=-1)
    return {
        "overall within 5 %": (np.abs(ratio - 1) > 0.05).tolist(),
        "overall at least 95 %": (ratio < 0.95).tolist(),
        "every category at least 95 %": (of_category < 0.95).any(axis=1).tolist(),
        "multilingual at least 95 %": (of_category[:, HIT] < 0.95).tolist(),
    }
