from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.metrics import Distribution, throughput, throughput_of
from pytest_speedbench.metrics.throughput import step_times_s, user_tps
from tests.unit.metrics.runs import STEP_S, TTFT_S, conversation, run, turn


def test_a_run_of_two_requests() -> None:
    first, second = turn([3, 1]), turn([0], start_s=2.0)
    speed = throughput(run([conversation("1", "qa", first), conversation("2", "qa", second)], driver="12.4"))
    assert speed.requests == 2
    assert speed.generated_tokens == (1 + 4 + 2) + (1 + 1)
    assert speed.duration_s == 2.0 + TTFT_S + STEP_S
    assert speed.output_tps == 9 / 2.75
    assert speed.output_tps_per_gpu == speed.output_tps
    assert speed.ttft_s == Distribution.of([TTFT_S, TTFT_S])
    assert speed.e2e_s == Distribution.of([TTFT_S + 2 * STEP_S, TTFT_S + STEP_S])
    assert speed.step_time_s == Distribution.of([STEP_S] * 3)  # no prefill among them
    assert speed.user_tps == Distribution.of([6 / (2 * STEP_S), 1 / STEP_S])
    assert speed.output_tokens == Distribution.of([7, 2])
    assert speed.prompt_tokens == Distribution.of([7, 7])


def test_time_runs_from_the_first_start_even_if_that_request_ends_first() -> None:
    early, late = turn([0], start_s=1.0), turn([0], start_s=5.0)
    assert throughput(run([conversation("1", "qa", late, early)])).duration_s == 5.0 + TTFT_S + STEP_S - 1.0


def test_turns_are_requests() -> None:
    assert throughput(run([conversation("1", "qa", turn([0]), turn([0]), turn([0]))])).requests == 3


def test_per_gpu_is_divided_by_the_accelerators_and_absent_on_a_cpu() -> None:
    rows = [conversation("1", "qa", turn([3, 3]))]
    eight = throughput(run(rows, driver="12.4", device_count=8))
    assert eight.output_tps is not None
    assert eight.output_tps_per_gpu == eight.output_tps / 8
    assert throughput(run(rows, driver=None, device_count=1)).output_tps_per_gpu is None


def test_a_request_of_one_token_has_no_user_tps() -> None:
    only_prefill = turn([])
    assert user_tps(only_prefill) is None
    at_once = replace(turn([3]), emissions=((1.0, 1), (1.0, 4)))
    assert user_tps(at_once) is None
    speed = throughput(run([conversation("1", "qa", only_prefill)]))
    assert speed.user_tps is None
    assert speed.step_time_s is None
    assert speed.ttft_s is not None


def test_chunks_that_are_read_together_or_merged_are_no_steps() -> None:
    good = turn([3, 1, 0])
    together = replace(good, emissions=((1.0, 1), (2.0, 4), (2.0, 2), (3.0, 1)))
    merged = replace(good, emissions=((1.0, 1), (2.0, 6), (3.0, 1)))
    hidden = replace(turn([0, 0, 0]), emissions=((1.0, 1), (2.0, 2), (3.0, 1)))  # no larger than a step may be
    for odd in (together, merged, hidden):
        assert step_times_s(odd) is None
        few = throughput_of([conversation("1", "qa", odd, *[good] * 19)], None).step_time_s
        assert few == Distribution.of([STEP_S] * 3 * 19)
        assert throughput_of([conversation("1", "qa", odd, *[good] * 18)], None).step_time_s is None


def test_without_a_drafter_a_step_makes_one_token() -> None:
    alone = replace(turn([0, 0], record=False), emissions=((1.0, 1), (1.5, 1), (2.0, 1)))
    assert step_times_s(alone) == [0.5, 0.5]
    assert step_times_s(replace(alone, emissions=((1.0, 1), (2.0, 2)))) is None


def test_a_turn_without_output_is_counted_and_enters_nothing() -> None:
    silent = replace(turn([]), output_ids=(), emissions=())
    speed = throughput(run([conversation("1", "qa", silent), conversation("2", "qa", turn([1]))]))
    assert (speed.requests, speed.without_output) == (2, 1)
    assert speed.output_tokens is not None
    assert speed.output_tokens.count == 1


def test_nothing_is_none() -> None:
    speed = throughput_of([], None)
    assert (speed.requests, speed.generated_tokens) == (0, 0)
    assert (speed.output_tps, speed.duration_s, speed.ttft_s, speed.output_tokens) == (None,) * 4


def test_no_values_no_distribution() -> None:
    assert Distribution.of([]) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_a_distribution_agrees_with_numpy(values: list[float]) -> None:
    rows = Distribution.of(values)
    assert rows is not None
    expected = np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1])
    got = [rows.min, rows.q05, rows.q25, rows.q50, rows.q75, rows.q95, rows.q99, rows.max]
    assert got == pytest.approx(list(expected), rel=1e-9, abs=1e-6)
    assert rows.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert rows.std == pytest.approx(np.std(values), rel=1e-6, abs=1e-4)
    assert rows.min <= rows.mean <= rows.max
    assert rows.count == len(values)
