"""Counters before and after a run become one record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, AcceptanceTotals
from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.counters import check_counted, counted
from tests.unit.metrics.runs import conversation, turn

PAIR = Pair("p", "vllm", "m", Drafter.parse("ngram"))
K = 3


def counters(steps: list[int]) -> SpeculationCounters:
    return SpeculationCounters(len(steps), K * len(steps), tuple(sum(s >= k for s in steps) for k in range(1, K + 1)))


@given(st.lists(st.integers(0, K)), st.lists(st.integers(0, K)))
def test_the_difference_is_what_happened_in_between(earlier: list[int], during: list[int]) -> None:
    record = counted(counters(earlier), counters(earlier + during), PAIR)
    assert isinstance(record, AcceptanceRecord)
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


def test_counters_without_positions_give_totals() -> None:
    before, after = SpeculationCounters(4, 12, None, 5), SpeculationCounters(10, 30, None, 14)
    assert counted(before, after, PAIR) == AcceptanceTotals(verify_steps=6, accepted_tokens=9, proposed_tokens=18)
    assert counted(None, after, PAIR) == AcceptanceTotals(verify_steps=10, accepted_tokens=14, proposed_tokens=30)


def test_what_counters_do_not_count_stays_absent() -> None:
    assert counted(None, SpeculationCounters(6, None, None, 9), PAIR) == AcceptanceTotals(6, 9, None)
    record = counted(None, SpeculationCounters(2, None, (2, 1, 0)), PAIR)
    assert record == AcceptanceRecord(3, (0, 1, 1, 0), None, None, None, AcceptanceSource.COUNTERS)


def test_totals_that_went_backwards_are_refused() -> None:
    with pytest.raises(EngineError, match="went backwards"):
        counted(SpeculationCounters(4, 12, None, 5), SpeculationCounters(4, 12, None, 4), PAIR)


@pytest.mark.parametrize(("positions", "in_all"), [(None, None), ((1, 0), 1)])
def test_accepted_tokens_are_counted_one_way(positions: tuple[int, ...] | None, in_all: int | None) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        SpeculationCounters(1, 1, positions, in_all)


def test_counters_that_saw_more_than_the_run_are_refused() -> None:
    rows = [
        conversation("1", "qa", turn([3, 0], record=False), turn([2], discarded=2, record=False)),
        conversation("2", "qa", turn([None], record=False)),
    ]
    ours = AcceptanceRecord(3, (1, 0, 1, 1), 9, None, None, AcceptanceSource.COUNTERS)
    check_counted(ours, rows, PAIR)
    check_counted(AcceptanceTotals(3, 5, None), rows, PAIR)
    others = AcceptanceRecord(3, (9, 0, 1, 2), 36, None, None, AcceptanceSource.COUNTERS)
    for theirs in (others, AcceptanceTotals(12, 8, 36)):
        with pytest.raises(EngineError, match="of this run alone: 12 verify steps made 20 tokens, and 7 arrived in 3"):
            check_counted(theirs, rows, PAIR)


def test_others_may_move_the_counters_where_requests_have_records() -> None:
    others = AcceptanceRecord(3, (90, 0, 0, 0), None, None, None, AcceptanceSource.COUNTERS)
    check_counted(others, [conversation("0", "qa", turn([1, 2]))], PAIR)
