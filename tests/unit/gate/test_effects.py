from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_speedbench.gate.effects import (
    COMMON_WEIGHT,
    SKEWNESS_WEIGHT,
    STEPS_WEIGHT,
    Common,
    Estimate,
    LogRatio,
    RunNoise,
    Sums,
)
from pytest_speedbench.gate.figures import paired_change
from tests.unit.gate.pairs import Values, counts_of, redrawn

levels = st.sampled_from([2e-6, 0.0005, 0.001, 0.01, 0.05])
boundaries = st.floats(0.5, 1.2)
estimates = st.builds(
    Estimate,
    prompts=st.integers(3, 900),
    log_ratio=st.floats(-0.5, 0.5),
    variance=st.floats(1e-8, 0.05),
    freedom=st.floats(2, 200),
    skewness=st.floats(-4, 4),
)


def ratio(
    own: float = 4e-4,
    implied: float | None = 4e-4,
    *,
    freedom: float = 20.0,
    skewness: float = 0.0,
    change: float = 0.95,
) -> LogRatio:
    """Of 40 prompts, 30 of them changed."""
    return LogRatio(
        prompts=40,
        baseline=2.0,
        candidate=2.0 * change,
        own=own,
        freedom=freedom,
        skewness=skewness,
        implied=implied,
        implied_by_all=6e-4,
        changed=30,
    )


@settings(max_examples=300)
@given(estimates, levels, boundaries)
def test_interval_and_p_value_always_agree(estimate: Estimate, level: float, boundary: float) -> None:
    lower, upper = estimate.interval(level)
    assert lower <= exp(estimate.log_ratio) <= upper
    assume(abs(upper / boundary - 1) > 1e-9)
    assert (estimate.p_value(boundary) <= level) == (upper < boundary)


@settings(max_examples=100)
@given(estimates, levels)
def test_at_its_upper_bound_the_p_value_is_the_level(estimate: Estimate, level: float) -> None:
    _, upper = estimate.interval(level)
    assume(upper < 1e100)
    assert estimate.p_value(upper) == pytest.approx(level, rel=1e-3)


@settings(max_examples=100)
@given(estimates, levels)
def test_the_lower_bound_is_the_upper_one_of_the_mirrored_change(estimate: Estimate, level: float) -> None:
    lower, upper = estimate.interval(level)
    mirrored = replace(estimate, log_ratio=-estimate.log_ratio, skewness=-estimate.skewness).interval(level)
    assert mirrored == pytest.approx((1 / upper, 1 / lower if lower else float("inf")), rel=1e-6)


@settings(max_examples=100)
@given(estimates, levels)
def test_p_values_fall_as_the_boundary_rises_and_intervals_widen_as_the_level_falls(
    estimate: Estimate, level: float
) -> None:
    p_values = [estimate.p_value(boundary) for boundary in (0.5, 0.9, 0.99, 1.0, 1.1, 2.0)]
    assert p_values == sorted(p_values, reverse=True)
    assert all(0 <= p <= 1 for p in p_values)
    narrow, wide = estimate.interval(0.05), estimate.interval(level)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@given(estimates, boundaries, st.floats(0, 0.5))
def test_a_smaller_drop_never_looks_worse(estimate: Estimate, boundary: float, better: float) -> None:
    assert replace(estimate, log_ratio=estimate.log_ratio + better).p_value(boundary) >= estimate.p_value(boundary)


def test_without_skewness_it_is_students_t() -> None:
    estimate = Estimate(30, -0.05, 4e-4, 25.0, 0.0)
    assert estimate.p_value(0.99) == pytest.approx(stats.t.cdf((-0.05 - log(0.99)) / 0.02, 25))
    half = stats.t.ppf(0.999, 25) * 0.02
    assert estimate.interval(0.001) == pytest.approx((exp(-0.05 - half), exp(-0.05 + half)))


@given(estimates, boundaries)
def test_skewness_never_makes_a_regression_surer_than_students_t(estimate: Estimate, boundary: float) -> None:
    assert estimate.p_value(boundary) >= replace(estimate, skewness=0.0).p_value(boundary)


def test_a_change_without_spread_is_certain() -> None:
    estimate = Estimate(5, log(0.9), 0.0, 4.0, 0.0)
    assert (estimate.p_value(0.99), estimate.p_value(0.9)) == (0.0, 1.0)
    assert estimate.interval(0.001) == pytest.approx((0.9, 0.9))


def test_an_interval_too_wide_for_a_number_is_open() -> None:
    """Less than one degree of freedom at an early look: t is in the hundreds of thousands there."""
    lower, upper = Estimate(5, -0.1, 0.01, 0.8, -1.0).interval(2e-6)
    assert (lower, upper) == (0.0, float("inf"))


@given(st.floats(1e-6, 1e-2), st.floats(1, 80), st.floats(0.3, 5))
def test_the_variance_lies_between_the_own_and_the_common_one(own: float, freedom: float, common: float) -> None:
    estimate = Estimate.of(ratio(own, freedom=freedom), Common(common))
    ends = sorted((own, 4e-4 * common))
    assert ends[0] * (1 - 1e-9) <= estimate.variance <= ends[1] * (1 + 1e-9)
    assert estimate.freedom == COMMON_WEIGHT + freedom


def test_few_prompts_lean_on_the_common_spread_and_many_on_their_own() -> None:
    few, many = (Estimate.of(ratio(9e-4, freedom=freedom)).variance for freedom in (1.0, 800.0))
    assert few == pytest.approx(4.556e-4, rel=1e-3)
    assert many == pytest.approx(8.95e-4, rel=1e-3)


def test_skewness_is_drawn_towards_none_or_towards_the_common_one_if_that_is_more() -> None:
    one, left = ratio(freedom=12.0, skewness=1.5), ratio(freedom=12.0, skewness=-1.5)
    assert Estimate.of(one).skewness == pytest.approx(1.5 * 12 / (COMMON_WEIGHT + 12))
    assert Estimate.of(one, Common(skewness=1.5)).skewness == pytest.approx(1.5)
    assert Estimate.of(left, Common(skewness=1.5)).skewness == pytest.approx(1.5 * (40 - 12) / (SKEWNESS_WEIGHT + 12))
    assert Estimate.of(left, Common(skewness=-1.5)).skewness == pytest.approx(-1.5 * 12 / (COMMON_WEIGHT + 12))
    assert Common.of([one] * 11).skewness == pytest.approx(1.5 * 132 / (132 + STEPS_WEIGHT))


def test_all_prompts_together_have_a_skewness_of_their_own() -> None:
    estimate = Estimate.of(ratio(freedom=12.0, skewness=1.5), Common(skewness=None))
    assert estimate.skewness == pytest.approx(1.5 * 12 / (COMMON_WEIGHT + 12))


def test_without_an_implied_variance_the_own_one_stands() -> None:
    estimate = Estimate.of(ratio(implied=None, freedom=12.0, skewness=1.5), Common(3.0))
    assert (estimate.variance, estimate.freedom, estimate.skewness) == (4e-4, 12.0, 1.5)


def test_the_common_dispersion_is_one_until_prompts_say_otherwise() -> None:
    assert Common.of([]) == Common(1.0, 0.0)
    assert Common.of([ratio(implied=None)]) == Common(1.0, 0.0)
    one = Common.of([ratio(8e-4, freedom=20.0)]).dispersion
    assert one == pytest.approx((20 * 2 + STEPS_WEIGHT) / (20 + STEPS_WEIGHT))
    assert one < Common.of([ratio(8e-4, freedom=20.0)] * 11).dispersion < 2


def test_prompts_that_did_not_change_are_exactly_unchanged() -> None:
    before, _ = redrawn(np.random.default_rng(1), 10)
    still = paired_change("al_pooled", counts_of(before), counts_of(before))
    estimate = Estimate.of(still, Common(2.0))
    assert estimate.interval(0.001) == (1, 1)
    assert (estimate.p_value(0.99), estimate.p_value(1.0)) == (1, 1)


def test_unchanged_prompts_say_nothing_of_those_not_asked_yet() -> None:
    before, _ = redrawn(np.random.default_rng(1), 10)
    still = paired_change("al_macro", counts_of(before), counts_of(before))
    lower, upper = Estimate.of(still, early=True).interval(0.001)
    assert lower < 0.95
    assert upper == 1


def test_before_the_last_look_the_lower_bound_allows_for_the_rest() -> None:
    now, early = Estimate.of(ratio()), Estimate.of(ratio(), early=True)
    assert early.interval(0.001)[1] == now.interval(0.001)[1]
    assert early.interval(0.001)[0] < now.interval(0.001)[0]
    assert early.variance_of_rest == pytest.approx(early.variance * 6 / 4)


def test_a_spread_that_contradicts_the_common_one_is_taken_alone_early() -> None:
    wide = ratio(5 * 4e-4, freedom=6.0)
    assert Estimate.of(wide).variance == pytest.approx(4e-4 * (8 + 6 * 5) / 14)
    early = Estimate.of(wide, early=True)
    assert (early.variance, early.freedom) == (5 * 4e-4, 6.0)
    assert Estimate.of(wide, Common(5.0), early=True).freedom == 14
    assert Estimate.of(ratio(1e-5, freedom=6.0), early=True).freedom == 14, "a narrow one is no danger"


@given(estimates, st.floats(1e-8, 0.05), st.integers(1, 30), levels)
def test_noise_of_the_whole_run_is_added(estimate: Estimate, variance: float, freedom: int, level: float) -> None:
    noisy = estimate.with_noise(RunNoise(variance, freedom))
    assert noisy.variance == estimate.variance + variance
    ends = sorted((freedom, estimate.freedom))
    assert ends[0] * (1 - 1e-9) <= noisy.freedom <= ends[1] * (1 + 1e-9)
    assert abs(noisy.skewness) <= abs(estimate.skewness)
    assert (noisy.log_ratio, noisy.prompts) == (estimate.log_ratio, estimate.prompts)
    if not estimate.skewness and freedom <= estimate.freedom:
        before, after = estimate.interval(level), noisy.interval(level)
        assert after[0] <= before[0] <= before[1] <= after[1]


def test_noise_by_hand() -> None:
    noisy = Estimate(20, 0.0, 3e-4, 12.0, 1.0, 6e-4).with_noise(RunNoise(3e-4, 4))
    assert noisy.variance == pytest.approx(6e-4)
    assert noisy.freedom == pytest.approx(36e-8 / (9e-8 / 12 + 9e-8 / 4))
    assert noisy.skewness == pytest.approx(0.5**1.5)
    assert noisy.variance_of_rest == pytest.approx(9e-4)
    assert Estimate(20, 0.0, 3e-4, 12.0, 1.0).with_noise(RunNoise(1e-4, 4)).freedom == 12, "not 16"
    still = Estimate(20, 0.0, 0.0, 8.0, 0.0).with_noise(RunNoise(1e-4, 4))
    assert (still.variance, still.freedom) == (1e-4, 4)
    assert still.with_noise(None) is still
    assert still.with_noise(RunNoise(0.0, 4)) is still


def test_the_detectable_drop_is_found_four_times_in_five() -> None:
    seen = Estimate(80, 0.0, 0.01**2, 80.0, 0.0)
    drop = seen.detectable_drop(0.01, 0.001)
    assert drop == pytest.approx(1 - 0.99 * exp(-0.01 * (stats.t.ppf(0.999, 80) + stats.t.ppf(0.8, 80))))
    rng = np.random.default_rng(5)
    found = [replace(seen, log_ratio=log(1 - drop) + 0.01 * z).p_value(0.99) <= 0.001 for z in rng.normal(size=400)]
    assert 0.72 < np.mean(found) < 0.88


def right_skewed(rng: np.random.Generator, size: int) -> Values:
    return np.asarray(rng.exponential(size=size) - 1)


def left_skewed(rng: np.random.Generator, size: int) -> Values:
    return np.asarray(1 - rng.exponential(size=size))


def normal(rng: np.random.Generator, size: int) -> Values:
    return rng.standard_normal(size)


def one_sided_alarms(
    noise: Callable[[np.random.Generator, int], Values], prompts: int, *, hall: bool, level: float = 0.01
) -> float:
    """How often a drop of exactly the tolerance is called a regression, with the prompts' own spread alone."""
    rng = np.random.default_rng(11)
    ones, none = np.ones(prompts), np.zeros(prompts)
    baseline = Sums(np.full(prompts, 2.5), ones, none)
    alarms, repetitions = 0, 4000
    for _ in range(repetitions):
        after = Sums(2.5 * 0.98 + 0.2 * noise(rng, prompts), ones, none)
        estimate = Estimate.of(LogRatio.paired(baseline, after, ones.astype(np.bool_)))
        alarms += (estimate if hall else replace(estimate, skewness=0.0)).p_value(0.98) <= level
    return alarms / repetitions


@pytest.mark.parametrize(
    ("noise", "prompts", "most"),
    [(normal, 16, 1.5), (left_skewed, 16, 1.0), (right_skewed, 16, 3.2), (right_skewed, 80, 1.8)],
)
def test_the_level_holds_at_the_boundary(
    noise: Callable[[np.random.Generator, int], Values], prompts: int, most: float
) -> None:
    # At most ``most`` times the nominal 1 %: few prompts hardly tell their own skewness.
    assert one_sided_alarms(noise, prompts, hall=True) <= 0.01 * most


def test_students_t_alone_calls_too_many_where_most_lose_a_little_and_few_gain_much() -> None:
    plain, corrected = (one_sided_alarms(right_skewed, 40, hall=hall) for hall in (False, True))
    assert plain > 0.025
    assert corrected < 0.6 * plain
