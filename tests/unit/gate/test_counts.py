from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.gate import StepCounts
from pytest_speedbench.metrics.acceptance import tokens_per_decode_step
from tests.unit.gate.pairs import record

histograms = st.integers(1, 6).flatmap(lambda k: st.tuples(*[st.integers(0, 40)] * (k + 1))).filter(any)
repeats = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.tuples(*[st.integers(0, 40)] * (k + 1)).filter(any), min_size=1, max_size=5)
)


def of(*records: AcceptanceRecord, undrafted: bool = False) -> StepCounts:
    found = StepCounts.of(records, undrafted=undrafted)
    assert found is not None
    return found


@given(histograms)
def test_one_run_is_what_its_record_says(histogram: tuple[int, ...]) -> None:
    one = record(*histogram)
    found = of(one)
    assert found.runs == 1
    assert found.length == pytest.approx(one.al)
    assert found.steps == found.survivors[0] == one.verify_steps
    assert found.tokens == one.verify_steps + one.accepted_tokens
    assert found.survivors == tuple(sum(histogram[k:]) for k in range(len(histogram)))
    assert sum(found.survivors) == found.tokens
    assert found.inverse_steps == 1 / one.verify_steps
    assert found.freedom == one.verify_steps - 1


@given(histograms)
def test_the_scatter_of_steps_is_their_sum_of_squares(histogram: tuple[int, ...]) -> None:
    tokens = np.repeat(np.arange(len(histogram)) + 1, histogram)
    assert of(record(*histogram)).squares == pytest.approx(((tokens - tokens.mean()) ** 2).sum(), abs=1e-6)


@given(repeats)
def test_several_runs_are_the_mean_of_each(rows: list[tuple[int, ...]]) -> None:
    singles = [of(record(*row)) for row in rows]
    found = of(*(record(*row) for row in rows))
    assert found.runs == len(rows)
    for name in ("length", "steps", "tokens", "inverse_steps"):
        assert getattr(found, name) == pytest.approx(np.mean([getattr(single, name) for single in singles]))
    assert found.survivors == pytest.approx(np.mean([single.survivors for single in singles], axis=0))
    assert found.squares == pytest.approx(sum(single.squares for single in singles))
    assert found.freedom == sum(single.freedom for single in singles)


@settings(max_examples=30)
@given(histograms, st.integers(1, 7))
def test_equal_runs_are_the_same_as_one_of_them(histogram: tuple[int, ...], runs: int) -> None:
    one = record(*histogram)
    assert of(*[one] * runs).same_as(of(one))
    assert of(one).same_as(of(*[one] * runs))


@pytest.mark.parametrize(
    "other",
    [(5, 2, 3, 1), (4, 3, 3, 1), (5, 3, 2, 1), (10, 6, 6, 2), (5, 3, 3, 1, 0), (5, 2, 5, 0)],
    ids=["fewer steps", "moved up", "moved down", "twice the steps", "a longer draft", "equal length"],
)
def test_other_counts_are_not_the_same(other: tuple[int, ...]) -> None:
    assert not of(record(5, 3, 3, 1)).same_as(of(record(*other)))
    assert not of(record(*other)).same_as(of(record(5, 3, 3, 1)))


def test_one_changed_run_of_five_is_noticed() -> None:
    one = record(50, 30, 30, 10)
    assert not of(one, one, one, one, record(49, 31, 30, 10)).same_as(of(one))


def test_steps_without_a_draft_accepted_nothing() -> None:
    lazy = record(1, 0, 0, 2, undrafted=7)
    found = of(lazy, undrafted=True)
    assert found.length == pytest.approx(tokens_per_decode_step(lazy))
    assert list(found.survivors) == [10, 2, 2, 2]
    assert of(lazy).length == lazy.al
    assert of(replace(lazy, undrafted_steps=None), undrafted=True).steps == 3


def test_a_run_without_a_step_leaves_nothing_to_compare() -> None:
    assert StepCounts.of([], undrafted=False) is None
    assert StepCounts.of([record(0, 0)], undrafted=False) is None
    assert StepCounts.of([record(3, 1), record(0, 0)], undrafted=False) is None
    assert StepCounts.of([record(0, 0, undrafted=2)], undrafted=False) is None
    assert of(record(0, 0, undrafted=2), undrafted=True).length == 1
