from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np
import pytest
from scipy import stats

from pytest_speedbench.sweeps.speed import Speeds, mean_interval

REPETITIONS = 1000


def rounds_of(rng: np.random.Generator, spreads: Sequence[float], means: Sequence[float], rounds: int) -> Speeds:
    logs = [rng.normal(mean, spread, rounds) for mean, spread in zip(means, spreads, strict=True)]
    return Speeds([np.exp(row).tolist() for row in logs])


def test_the_mean_is_geometric_with_students_interval_on_logs() -> None:
    tps = [100.0, 104.0, 99.0, 102.5]
    found = mean_interval(tps, 0.01)
    low, high = stats.ttest_1samp(np.log(tps), 0).confidence_interval(0.99)
    assert (found.lower, found.upper) == pytest.approx((exp(low), exp(high)))
    assert found.estimate == pytest.approx(stats.gmean(tps))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([130.0, 131.0, 129.0], [100.0, 105.0, 95.0, 101.0]),  # Welch's is wider: the noisy side decides
        ([130.0, 131.0, 129.0], [100.0, 100.1, 100.2]),
        ([130.0, 120.0, 141.0, 125.0], [100.0, 101.0, 102.0]),
    ],
)
def test_a_ratio_has_the_wider_of_two_intervals(one: list[float], other: list[float]) -> None:
    found = Speeds([one, other]).ratio(0, 1, 0.01)
    bounds = [
        stats.ttest_ind(np.log(one), np.log(other), equal_var=equal).confidence_interval(0.99)
        for equal in (True, False)
    ]
    assert found.estimate == pytest.approx(stats.gmean(one) / stats.gmean(other))
    assert found.lower == pytest.approx(min(exp(low) for low, _ in bounds))
    assert found.upper == pytest.approx(max(exp(high) for _, high in bounds))


def test_the_spread_of_all_conditions_guards_against_rounds_that_happen_to_be_alike() -> None:
    lucky = [[100.0, 100.01, 99.99], [103.0, 103.01, 102.99]]
    assert Speeds(lucky).ratio(1, 0, 0.01).lower > 1
    noisy = Speeds([*lucky, [90.0, 100.0, 110.0], [92.0, 101.0, 108.0]])
    assert noisy.ratio(1, 0, 0.01).lower < 1


def test_speeds_without_spread_are_known_exactly() -> None:
    speeds = Speeds([[100.0] * 3, [120.0] * 3, [120.0] * 3])
    ratio = speeds.ratio(1, 0, 0.01)
    assert (ratio.lower, ratio.upper) == (ratio.estimate, ratio.estimate) == pytest.approx((1.2, 1.2))
    assert speeds.may_be_fastest([0, 1, 2], 0.01) == (1, 2)


def test_the_clearly_slower_are_left_out_and_the_near_ties_stay() -> None:
    speeds = Speeds([[100, 101, 99], [150, 151, 149], [149, 151, 148.5], [120, 121, 119]])
    assert speeds.fastest(range(4)) == 1
    assert speeds.may_be_fastest(range(4), 0.01) == (1, 2)
    assert speeds.may_be_fastest([0, 3], 0.01) == (3,)
    assert speeds.may_be_fastest([2], 0.01) == (2,)


@pytest.mark.parametrize("rounds", [3, 5])
@pytest.mark.parametrize(
    "spreads",
    [[0.02] * 8, [0.06] + [0.02] * 7, [0.004] + [0.02] * 7, [0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02]],
    ids=["alike", "best is noisy", "best is quiet", "mixed"],
)
def test_the_fastest_is_hardly_ever_left_out(rounds: int, spreads: list[float]) -> None:
    """At equal speeds, where leaving the fastest out is easiest: it may happen in 1 % of sweeps."""
    rng = np.random.default_rng(7)
    lost = sum(
        0 not in rounds_of(rng, spreads, [0.0] * 8, rounds).may_be_fastest(range(8), 0.01) for _ in range(REPETITIONS)
    )
    assert lost <= stats.binom.isf(1e-4, REPETITIONS, 0.01)


def test_a_naive_choice_would_lose_the_fastest() -> None:
    """The same check rejects the rule it replaces: each against the observed best, uncorrected, at 5 %."""
    rng = np.random.default_rng(7)
    lost = 0
    for _ in range(500):
        speeds = rounds_of(rng, [0.02] * 8, [0.0] * 8, 3)
        best = speeds.fastest(range(8))
        lost += speeds.ratio(best, 0, 0.1).lower > 1
    assert lost > stats.binom.isf(1e-4, 500, 0.01)


def test_slower_ones_are_found() -> None:
    """2 % noise and five rounds: 10 % slower than the best is told apart nearly always."""
    rng = np.random.default_rng(3)
    means = [0.0, 0.0, *([-0.1] * 6)]
    sets = [rounds_of(rng, [0.02] * 8, means, 5).may_be_fastest(range(8), 0.01) for _ in range(300)]
    assert sum(not set(found) - {0, 1} for found in sets) > 0.9 * len(sets)


@pytest.mark.parametrize("spreads", [[0.02] * 9, [0.01] * 5 + [0.03] * 4])
def test_all_speedups_of_a_sweep_hold_together(spreads: list[float]) -> None:
    rng = np.random.default_rng(11)
    means = [0.0, *(0.05 * k for k in range(1, 9))]
    missed = 0
    for _ in range(1000):
        speeds = rounds_of(rng, spreads, means, 3)
        ratios = [speeds.ratio(k, 0, 0.01 / 8) for k in range(1, 9)]
        missed += any(not ratio.lower <= exp(0.05 * k) <= ratio.upper for k, ratio in enumerate(ratios, start=1))
    assert missed <= stats.binom.isf(1e-4, 1000, 0.01)
