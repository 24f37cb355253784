from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, AcceptanceTotals, VerifyStep, pool

K = 3


@st.composite
def verify_steps(draw: st.DrawFn) -> VerifyStep:
    proposed = draw(st.integers(0, K))
    return VerifyStep(proposed, draw(st.integers(0, proposed)))


step_lists = st.lists(verify_steps(), max_size=30)


def record(steps: list[VerifyStep], **extra: Any) -> AcceptanceRecord:
    return AcceptanceRecord.from_steps(steps, draft_length=K, **extra)


def test_counts_of_a_small_request() -> None:
    row = record([VerifyStep(3, 3), VerifyStep(3, 0), VerifyStep(0, 0), VerifyStep(2, 1)], discarded_tokens=2)
    assert row.histogram == (1, 1, 0, 1)
    assert (row.verify_steps, row.accepted_tokens, row.proposed_tokens, row.undrafted_steps) == (3, 4, 8, 1)
    assert row.al == 1 + 4 / 3
    assert row.decoded_tokens == 4 + 3 + 1
    assert row.expected_output_tokens() == 1 + 8 - 2


@given(step_lists)
def test_the_steps_that_tried_a_position_are_those_that_proposed_a_token_there(steps: list[VerifyStep]) -> None:
    row = record(steps)
    wanted = tuple(sum(s.proposed_tokens >= k and s.accepted_tokens >= k - 1 for s in steps) for k in range(1, K + 1))
    assert row.tried == wanted
    assert (row.reached is None) == (row.proposed_tokens == K * row.verify_steps)
    assert replace(row, reached=None).tried == (wanted if row.reached is None else None)


@given(step_lists, step_lists)
def test_tried_positions_are_summed(first: list[VerifyStep], second: list[VerifyStep]) -> None:
    both = pool([record(first), record(second)])
    assert both == record([*first, *second], discarded_tokens=None)


@pytest.mark.parametrize("reached", [(1, 1), (3, 2, 1), (4, 2, 0), (4, 4, 1), (4, 2, 2)])
def test_steps_that_cannot_have_tried_a_position_are_refused(reached: tuple[int, ...]) -> None:
    assert AcceptanceRecord(3, (2, 1, 0, 1), 9, reached=(4, 2, 1)).tried == (4, 2, 1)
    with pytest.raises(ValueError, match="reached"):
        AcceptanceRecord(3, (2, 1, 0, 1), 9, reached=reached)


def test_records_of_other_draft_lengths_have_tried_what_each_proposed() -> None:
    short = AcceptanceRecord(1, (1, 2), 3)
    both = pool([short, AcceptanceRecord(3, (0, 0, 0, 2), 6)])
    assert both is not None
    assert both.tried == (5, 2, 2)


def test_without_verify_steps_there_is_no_acceptance_length() -> None:
    row = record([VerifyStep(0, 0)])
    assert row.al is None
    assert row.undrafted_steps == 1
    assert row.expected_output_tokens() is None


@settings(max_examples=50, deadline=None)
@given(step_lists)
def test_steps_are_counted_once(steps: list[VerifyStep]) -> None:
    row = record(steps, discarded_tokens=0)
    assert row.decode_steps == len(steps)
    assert row.accepted_tokens == sum(step.accepted_tokens for step in steps)
    assert row.proposed_tokens == sum(step.proposed_tokens for step in steps)
    assert row.expected_output_tokens() == 1 + sum(step.accepted_tokens + 1 for step in steps)
    assert row.al is None or 1 <= row.al <= K + 1


@settings(max_examples=50, deadline=None)
@given(st.lists(step_lists, min_size=1, max_size=5))
def test_pooling_is_counting_together(parts: list[list[VerifyStep]]) -> None:
    assert pool(record(part) for part in parts) == record([step for part in parts for step in part])


def test_pooling_nothing_is_nothing() -> None:
    assert pool([]) is None


def test_pooling_takes_the_largest_draft_length_and_the_weakest_source() -> None:
    short = AcceptanceRecord(1, (2, 1), 3, discarded_tokens=1, source=AcceptanceSource.STREAM)
    long = AcceptanceRecord(3, (1, 0, 0, 1), 6, discarded_tokens=2)
    both = pool([short, long])
    assert both is not None
    assert (both.draft_length, both.histogram, both.discarded_tokens) == (3, (3, 1, 0, 1), 3)
    assert both.source is AcceptanceSource.STREAM


def test_discarded_tokens_are_known_only_if_all_are() -> None:
    both = pool([AcceptanceRecord(1, (1, 0), 1, discarded_tokens=1), AcceptanceRecord(1, (1, 0), 1)])
    assert both is not None
    assert both.discarded_tokens is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draft_length": 0, "histogram": (1,), "proposed_tokens": 0}, "at least 1"),
        ({"draft_length": 2, "histogram": (1, 1), "proposed_tokens": 2}, "3 histogram bins"),
        ({"draft_length": 1, "histogram": (-1, 2), "proposed_tokens": 2}, "never negative"),
        ({"draft_length": 1, "histogram": (1, 1), "proposed_tokens": -1}, "never negative"),
        ({"draft_length": 1, "histogram": (1, 1), "proposed_tokens": 2, "undrafted_steps": -1}, "never negative"),
        ({"draft_length": 1, "histogram": (1, 1), "proposed_tokens": 2, "discarded_tokens": -1}, "negative"),
        ({"draft_length": 2, "histogram": (0, 0, 2), "proposed_tokens": 3}, "cannot be"),
        ({"draft_length": 2, "histogram": (2, 0, 0), "proposed_tokens": 5}, "cannot be"),
        ({"draft_length": 2, "histogram": (2, 0, 0), "proposed_tokens": 1}, "at least one token"),
        ({"draft_length": 1, "histogram": (1.0, 1), "proposed_tokens": 2}, "counts are integers"),
        ({"draft_length": 1, "histogram": (1, True), "proposed_tokens": 2}, "counts are integers"),
        ({"draft_length": 1, "histogram": (1, 1), "proposed_tokens": "2"}, "counts are integers"),
    ],
)
def test_counts_that_contradict_each_other_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AcceptanceRecord(**arguments)


@pytest.mark.parametrize(
    "step", [VerifyStep(4, 0), VerifyStep(2, 3), VerifyStep(2, -1), VerifyStep(-1, -1), VerifyStep(0, 1)]
)
def test_impossible_steps_are_refused(step: VerifyStep) -> None:
    with pytest.raises(ValueError, match="impossible verify step"):
        record([step])


def test_a_tree_proposes_more_than_its_depth() -> None:
    row = AcceptanceRecord(2, (1, 0, 2), 3 * 6, tree_tokens=6)
    assert (row.al, row.draft_length) == (1 + 4 / 3, 2)
    with pytest.raises(ValueError, match="of at most 2"):
        AcceptanceRecord(2, (1, 0, 2), 3 * 6)
    with pytest.raises(ValueError, match="of at most 6"):
        AcceptanceRecord(2, (1, 0, 2), 3 * 6 + 1, tree_tokens=6)
    with pytest.raises(ValueError, match="a tree of 1 tokens cannot be 2 deep"):
        AcceptanceRecord(2, (1, 0, 2), 4, tree_tokens=1)


def test_pooling_keeps_the_largest_tree() -> None:
    tree, chain = AcceptanceRecord(2, (1, 1, 0), 8, tree_tokens=4), AcceptanceRecord(5, (0, 0, 0, 0, 0, 1), 5)
    both = pool([tree, chain, replace(tree, tree_tokens=6)])
    assert both is not None
    assert (both.tree_tokens, both.draft_length, both.proposed_tokens) == (6, 5, 21)
    assert pool([chain]) == chain


def test_a_drafts_length_may_vary_by_step() -> None:
    steps = [VerifyStep(1, 1), VerifyStep(5, 0), VerifyStep(0, 0), VerifyStep(8, 7), VerifyStep(2, 2)]
    row = AcceptanceRecord.from_steps(steps, draft_length=8, discarded_tokens=1)
    assert (row.proposed_tokens, row.accepted_tokens, row.undrafted_steps) == (16, 10, 1)
    assert (row.al, row.expected_output_tokens()) == (1 + 10 / 4, 1 + 10 + 5 - 1)


def test_totals_have_a_length() -> None:
    assert AcceptanceTotals(4, 6, 12).al == 2.5
    assert AcceptanceTotals(4, 6, None).al == 2.5
    assert AcceptanceTotals(0, 0, 0).al is None


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((-1, 0, 0), "never negative"),
        ((3, 2, 2), "cannot be of 2"),
        ((1, 4, 3), "cannot be of 3"),
        ((0, 1, None), "without a verify step"),
    ],
)
def test_totals_that_contradict_each_other_are_refused(counts: tuple[int, int, int | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AcceptanceTotals(*counts)
