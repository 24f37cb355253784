from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.gate.multiplicity import holm_adjusted, holm_levels

errors = st.sampled_from([0.01, 0.05, 0.2])


def closed_testing(p_values: list[float], error: float) -> set[int]:
    """Reject what every intersection that holds it rejects, each by Bonferroni."""
    everything = range(len(p_values))
    families = [set(chosen) for size in everything for chosen in combinations(everything, size + 1)]
    kept = [family for family in families if len(family) * min(p_values[i] for i in family) > error]
    return {i for i in everything if not any(i in family for family in kept)}


@settings(max_examples=150)
@given(st.lists(st.one_of(st.floats(0, 1), st.floats(0, 0.02)), min_size=1, max_size=6), errors)
def test_holm_is_closed_testing_by_bonferroni(p_values: list[float], error: float) -> None:
    levels = holm_levels(p_values, error)
    rejected = {i for i, (p, level) in enumerate(zip(p_values, levels, strict=True)) if p <= level}
    near = any(abs(size * p - error) < 1e-12 for p in p_values for size in range(1, len(p_values) + 1))
    if not near:
        assert rejected == closed_testing(p_values, error)
        assert rejected == {i for i, p in enumerate(holm_adjusted(p_values)) if p <= error}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), errors)
def test_levels_and_adjusted_values_keep_to_their_ranges(p_values: list[float], error: float) -> None:
    assert all(error / len(p_values) * (1 - 1e-9) <= level <= error for level in holm_levels(p_values, error))
    assert all(p <= adjusted <= 1 for p, adjusted in zip(p_values, holm_adjusted(p_values), strict=True))


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.data())
def test_levels_never_fall_when_a_p_value_does(p_values: list[float], data: st.DataObject) -> None:
    """What was rejected stays so while a run goes on."""
    index = data.draw(st.integers(0, len(p_values) - 1))
    lower = [*p_values]
    lower[index] *= data.draw(st.floats(0, 1))
    before, after = holm_levels(p_values, 0.05), holm_levels(lower, 0.05)
    for p, q, level, later in zip(p_values, lower, before, after, strict=True):
        assert q <= later or p > level
    assert all(later >= level for i, (level, later) in enumerate(zip(before, after, strict=True))
               if i != index and p_values[i] > level)  # fmt: skip


def test_holm_by_hand() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_levels([0.01, 0.04, 0.03, 0.005], 0.05) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    assert holm_adjusted([]) == holm_levels([], 0.05) == []
