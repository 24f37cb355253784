from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_speedbench.gate.statistics import RatioTest, holm_adjusted, holm_levels
from tests.unit.gate.pairs import Values

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)
levels = st.sampled_from([0.0005, 0.001, 0.01, 0.05])


@st.composite
def pairs(draw: st.DrawFn, least: int = 3) -> tuple[list[float], list[float]]:
    length = st.floats(1, 6).map(lambda value: round(value, 3))
    rows = draw(st.lists(st.tuples(length, length), min_size=least, max_size=25))
    return [row[0] for row in rows], [row[1] for row in rows]


def holm_reference(p_values: list[float], family_error: float) -> set[int]:
    """Holm's procedure as its paper puts it."""
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > family_error / (len(p_values) - rank):
            break
        rejected.add(index)
    return rejected


@settings(max_examples=50, deadline=None)
@given(p_lists, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_against_its_definition(p_values: list[float], family_error: float) -> None:
    at = holm_levels(p_values, family_error)
    rejected = {i for i, (p, level) in enumerate(zip(p_values, at, strict=True)) if p <= level}
    assert rejected == holm_reference(p_values, family_error)
    adjusted = holm_adjusted(p_values)
    for index, (p, corrected) in enumerate(zip(p_values, adjusted, strict=True)):
        assert p <= corrected <= 1
        if abs(corrected - family_error) > 1e-12:
            assert (corrected <= family_error) == (index in rejected)


def test_holm_by_hand() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_levels([0.01, 0.04, 0.03, 0.005], 0.05) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    assert holm_adjusted([]) == []


@settings(max_examples=50, deadline=None)
@given(pairs(), levels, st.floats(0.5, 1.2))
def test_interval_and_p_value_always_agree(
    values: tuple[list[float], list[float]], level: float, boundary: float
) -> None:
    test = RatioTest.of(*values)
    lower, upper = test.interval(level)
    assert lower <= test.ratio <= upper
    if abs(upper - boundary) > 1e-9:
        assert (test.p_value(boundary) <= level) == (upper < boundary)


@settings(max_examples=50, deadline=None)
@given(pairs(), levels)
def test_the_lower_bound_is_the_upper_one_of_the_mirrored_data(
    values: tuple[list[float], list[float]], level: float
) -> None:
    baseline, candidate = values
    lower, upper = RatioTest.of(baseline, candidate).interval(level)
    mirrored = [2 * b - c for b, c in zip(baseline, candidate, strict=True)]  # ratio 2 − θ, skewness of opposite sign
    mirrored_lower, mirrored_upper = RatioTest.of(baseline, mirrored).interval(level)
    assert (mirrored_lower, mirrored_upper) == pytest.approx((2 - upper, 2 - lower), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(pairs(), levels)
def test_a_p_value_falls_as_the_boundary_rises(values: tuple[list[float], list[float]], level: float) -> None:
    test = RatioTest.of(*values)
    p_values = [test.p_value(boundary) for boundary in (0.5, 0.9, 0.99, 1.0, 1.1, 2.0)]
    assert p_values == sorted(p_values, reverse=True)
    assert all(0 <= p <= 1 for p in p_values)
    narrow, wide = test.interval(0.05), test.interval(level)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@settings(max_examples=50, deadline=None)
@given(pairs(), st.sampled_from([0.25, 2.0, 8.0]))
def test_scale_does_not_matter(values: tuple[list[float], list[float]], scale: float) -> None:
    baseline, candidate = values
    test = RatioTest.of(baseline, candidate)
    scaled = RatioTest.of([scale * v for v in baseline], [scale * v for v in candidate])
    assert (scaled.ratio, scaled.spread) == (test.ratio, test.spread)
    assert scaled.skewness == pytest.approx(test.skewness)


@settings(max_examples=50, deadline=None)
@given(pairs(), st.floats(1.0, 1.5), st.floats(0.8, 1.0))
def test_improving_every_prompt_alike_never_looks_worse(
    values: tuple[list[float], list[float]], factor: float, boundary: float
) -> None:
    baseline, candidate = values
    better = [value * factor for value in candidate]
    p_now, p_better = (
        RatioTest.of(baseline, candidate).p_value(boundary),
        RatioTest.of(baseline, better).p_value(boundary),
    )
    assert p_better >= p_now - 1e-9


@settings(max_examples=50, deadline=None)
@given(pairs())
def test_a_mean_that_did_not_drop_is_never_significant(values: tuple[list[float], list[float]]) -> None:
    test = RatioTest.of(*values)
    if test.ratio >= 1:
        assert test.p_value(1.0) >= 0.5 - 1e-9


def test_students_t_is_the_bound_without_skewness() -> None:
    baseline = [2.0] * 5
    candidate = [1.5, 1.6, 1.7, 1.8, 1.9]
    test = RatioTest.of(baseline, candidate)
    expected = stats.ttest_1samp(candidate, 2.0, alternative="less").pvalue
    assert test.skewness == pytest.approx(0, abs=1e-9)
    assert test.p_value(1.0) == pytest.approx(expected)
    low, high = stats.ttest_1samp(candidate, 2.0).confidence_interval(0.9)
    assert test.interval(0.05) == pytest.approx((low / 2, high / 2))


def test_equal_ratios_are_known_exactly() -> None:
    baseline = [1.1, 2.3, 3.7, 2.9]
    same = RatioTest.of(baseline, baseline)
    assert (same.ratio, same.spread, same.p_value(1.0), same.interval(0.001)) == (1.0, 0.0, 1.0, (1.0, 1.0))
    dropped = RatioTest.of(baseline, [0.9 * value for value in baseline])
    assert dropped.p_value(0.99) == 0.0
    assert dropped.interval(0.001) == pytest.approx((0.9, 0.9))
    assert dropped.p_value(dropped.ratio) == 1.0


@pytest.mark.parametrize(("baseline", "candidate"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])])
def test_what_is_no_ratio(baseline: list[float], candidate: list[float]) -> None:
    with pytest.raises(ValueError, match="pairs of values"):
        RatioTest.of(baseline, candidate)


def test_the_detectable_drop_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    level, noise, prompts = 0.001, 0.08, 80
    baseline = np.full(prompts, 2.5)
    even = stats.norm.ppf((np.arange(prompts) + 0.5) / prompts)
    seen = RatioTest.of(baseline, 2.5 * (1 + noise * even / even.std(ddof=1)))
    drop = seen.detectable_drop(0.01, level)
    assert drop == pytest.approx(0.01 + (3.195 + 0.846) * noise / 80**0.5, abs=1e-4)
    found = 0
    for _ in range(400):
        candidate = 2.5 * (1 - drop + noise * rng.standard_normal(prompts))
        found += RatioTest.of(baseline, candidate).p_value(0.99) <= level
    assert 0.7 < found / 400 < 0.9


def right_skewed(rng: np.random.Generator, size: int) -> Values:
    return np.asarray(rng.exponential(size=size) - 1)


def left_skewed(rng: np.random.Generator, size: int) -> Values:
    return np.asarray(1 - rng.exponential(size=size))


def normal(rng: np.random.Generator, size: int) -> Values:
    return rng.standard_normal(size)


def heavy_tailed(rng: np.random.Generator, size: int) -> Values:
    return np.asarray(rng.standard_t(3, size=size))


@pytest.mark.parametrize(
    ("noise", "prompts", "most"),
    [
        (normal, 16, 1.5),
        (heavy_tailed, 16, 1.2),
        (left_skewed, 16, 0.8),
        (right_skewed, 16, 3.2),
        (right_skewed, 80, 1.8),
    ],
)
def test_the_level_holds_at_the_boundary(
    noise: Callable[[np.random.Generator, int], Values], prompts: int, most: float
) -> None:
    # At most ``most`` times the nominal 1 %. Skewed data of few prompts exceed it, as the module's table says.
    rng = np.random.default_rng(11)
    baseline = np.full(prompts, 2.5)
    repetitions = 2000
    called = sum(
        RatioTest.of(baseline, 2.5 * 0.98 + 0.2 * noise(rng, prompts)).p_value(0.98) <= 0.01 for _ in range(repetitions)
    )
    assert called / repetitions <= 0.01 * most
