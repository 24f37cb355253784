"""Counters before and after a run become one record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.counters import counted

PAIR = Pair("p", "vllm", "m", Drafter.parse("ngram"))
K = 3


def counters(steps: list[int]) -> SpeculationCounters:
    return SpeculationCounters(len(steps), K * len(steps), tuple(sum(s >= k for s in steps) for k in range(1, K + 1)))


@given(st.lists(st.integers(0, K)), st.lists(st.integers(0, K)))
def test_the_difference_is_what_happened_in_between(earlier: list[int], during: list[int]) -> None:
    record = counted(counters(earlier), counters(earlier + during), PAIR)
    assert record is not None
    assert record.histogram == tuple(during.count(j) for j in range(K + 1))
    assert record.proposed_tokens == K * len(during)
    assert (record.undrafted_steps, record.discarded_tokens) == (None, None)
    assert record.source is AcceptanceSource.COUNTERS


def test_counters_that_appear_only_with_the_first_draft_start_at_nothing() -> None:
    record = counted(None, counters([2]), PAIR)
    assert record is not None
    assert record.verify_steps == 1


def test_absent_counters_are_no_record() -> None:
    assert counted(counters([1]), None, PAIR) is None
    assert counted(None, None, PAIR) is None
    assert counted(counters([]), counters([]), Pair("p", "vllm", "m")) is None


def test_counters_that_went_backwards_are_refused() -> None:
    with pytest.raises(EngineError, match="went backwards"):
        counted(counters([1, 2]), counters([1]), PAIR)


def test_counters_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(EngineError, match="contradict each other"):
        counted(None, SpeculationCounters(1, 9, (1, 1, 1)), PAIR)
