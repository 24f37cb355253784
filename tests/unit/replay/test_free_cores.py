from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_speedbench.engines.replay.free_cores import CoreTimes, FreeCores, core_times


def looked(*others: float, ours: float = 1.0, seconds: float = 1.0) -> Iterator[CoreTimes]:
    """Clocks a second apart, with so many cores busy with others and with us in between."""
    at = busy = own = 0.0
    yield CoreTimes(at, busy, own)
    for share in others:
        at, busy, own = at + seconds, busy + (share + ours) * seconds, own + ours * seconds
        yield CoreTimes(at, busy, own)


@pytest.mark.parametrize(("others", "threads"), [(0.0, 2), (0.2, 2), (0.67, 1), (1.0, 1), (2.0, 1), (-0.1, 2)])
def test_cores_that_others_keep_busy_get_no_thread(others: float, threads: int) -> None:
    times = looked(others)
    assert FreeCores(None, 2, lambda: next(times)).threads() == threads


def test_no_more_threads_than_asked_for() -> None:
    times = looked(0.0)
    assert FreeCores(3, 16, lambda: next(times)).threads() == 3
    times = looked(0.0)
    assert FreeCores(32, 16, lambda: next(times)).threads() == 16


def test_it_goes_by_what_was_seen_last() -> None:
    times = looked(0.0, 1.0, 0.0)
    free = FreeCores(None, 2, lambda: next(times))
    assert [free.threads() for _ in range(3)] == [2, 1, 2]


def test_a_glance_says_nothing() -> None:
    times = looked(0.0, 0.0, 0.0, seconds=0.06)
    free = FreeCores(None, 2, lambda: next(times))
    assert [free.threads() for _ in range(2)] == [1, 2]


def test_the_machine_s_clocks_run_forwards() -> None:
    before = core_times()
    sum(number * number for number in range(200_000))
    after = core_times()
    assert after.at_s > before.at_s
    assert after.busy_s >= before.busy_s
    assert after.ours_s > before.ours_s
    assert FreeCores(None).threads() >= 1
