"""What TensorRT-LLM says of a request as an acceptance record: exact where it can be, absent where it cannot."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.engines.trtllm.counters import IterationCounts
from pytest_speedbench.engines.trtllm.record import Drafts, Response, Totals, acceptance_record, accepted_per_step
from pytest_speedbench.errors import EngineError

THREE = Drafts(3)


def responses(*tokens: int) -> list[Response]:
    """One response for every iteration, the prefill's first."""
    return [Response(number, count) for number, count in enumerate(tokens, start=1)]


def test_without_totals_the_iterations_tell_what_was_accepted() -> None:
    found = acceptance_record(responses(1, 4, 1, 2, 1), None, THREE)
    assert found == AcceptanceRecord(3, (2, 1, 0, 1), None, None, None, AcceptanceSource.STREAM)


def test_totals_of_zero_say_that_nobody_counted() -> None:
    found = acceptance_record(responses(1, 4, 1), Totals(0, 0), THREE)
    assert found is not None
    assert (found.source, found.proposed_tokens) == (AcceptanceSource.STREAM, None)


@pytest.mark.parametrize("totals", [None, Totals(0, 0)])
def test_a_request_that_ends_with_its_prefill_has_an_empty_record(totals: Totals | None) -> None:
    assert acceptance_record(responses(1), totals, THREE) == AcceptanceRecord(3, (0, 0, 0, 0), 0, 0, 0)


@pytest.mark.parametrize(
    ("tokens", "totals", "expected"),
    [
        # Every step drafted three, nothing was cut off.
        ((1, 4, 1, 2), Totals(9, 4), AcceptanceRecord(3, (1, 1, 0, 1), 9, 0)),
        # The last step accepted three, and only one of its tokens was emitted.
        ((1, 4, 1), Totals(6, 6), AcceptanceRecord(3, (0, 0, 0, 2), 6, 0, 3)),
        # The end itself is not emitted, and is cut off with the drafts behind it.
        ((1, 4, 0), Totals(6, 4), AcceptanceRecord(3, (0, 1, 0, 1), 6, 0, 2)),
        # Two of the four steps had a draft.
        ((1, 1, 3, 1, 1), Totals(6, 2), AcceptanceRecord(3, (1, 0, 1, 0), 6, 2)),
        # Shorter drafts, and yet only one way to count them.
        ((1, 4, 3), Totals(5, 5), AcceptanceRecord(3, (0, 0, 1, 1), 5, 0)),
        # A request that ends with its prefill and one step.
        ((1, 1), Totals(3, 0), AcceptanceRecord(3, (1, 0, 0, 0), 3, 0)),
    ],
)
def test_totals_make_it_the_engines_own(tokens: Sequence[int], totals: Totals, expected: AcceptanceRecord) -> None:
    found = acceptance_record(responses(*tokens), totals, THREE)
    assert found == expected
    assert found is not None
    assert found.source is AcceptanceSource.ENGINE


def test_what_totals_leave_open_is_absent() -> None:
    # Five proposed tokens may have been in two steps or in five.
    assert acceptance_record(responses(1, 1, 2, 1, 1, 1), Totals(5, 1), THREE) is None
    varying = Drafts(3, varies=True)
    assert acceptance_record(responses(1, 1, 2, 1), Totals(3, 1), varying) is None
    assert acceptance_record(responses(1, 1, 2, 1), Totals(3, 1), THREE) == AcceptanceRecord(3, (0, 1, 0, 0), 3, 2)


def test_a_schedule_of_draft_lengths_is_right_where_it_can_be_known() -> None:
    varying = Drafts(4, varies=True)
    found = acceptance_record(responses(1, 5, 2), Totals(5, 5), varying)
    assert found == AcceptanceRecord(4, (0, 1, 0, 0, 1), 5, 0)


def test_a_tree_has_its_size_and_no_proposed_tokens() -> None:
    tree = Drafts(3, tree_tokens=12)
    found = acceptance_record(responses(1, 4, 1), Totals(6, 3), tree)
    assert found == AcceptanceRecord(3, (1, 0, 0, 1), None, 0, tree_tokens=12)
    streamed = acceptance_record(responses(1, 4, 1), None, tree)
    assert streamed is not None
    assert (streamed.tree_tokens, streamed.source) == (12, AcceptanceSource.STREAM)


@pytest.mark.parametrize(
    "merged",
    [
        [Response(1, 1), Response(3, 5)],
        [Response(2, 4), Response(3, 1)],
        [Response(1, 1), Response(1, 2)],
        [Response(1, 1), Response(3, 2), Response(2, 1)],
        [],
    ],
)
def test_iterations_that_arrive_together_are_noticed(merged: list[Response]) -> None:
    assert accepted_per_step(merged) is None
    assert acceptance_record(merged, Totals(6, 3), THREE) is None


def test_a_last_word_without_tokens_is_no_step() -> None:
    assert accepted_per_step([*responses(1, 3), Response(2, 0)]) == [2]


def test_an_end_that_is_not_emitted_is_a_step() -> None:
    assert accepted_per_step(responses(1, 3, 0)) == [2, 0]


@pytest.mark.parametrize(
    ("tokens", "totals", "words"),
    [
        ((1, 5), None, "one iteration emitted 5 tokens at a draft length of 3"),
        ((1, 4, 1), Totals(6, 2), "2 of 6 draft tokens accepted, and 3 were emitted in 2 iterations"),
        ((1, 4, 4), Totals(6, 7), "7 of 6 draft tokens accepted"),
        ((1, 4, 2), Totals(6, 8), "8 of 6"),
        ((1, 1), Totals(9, 0), "9 draft tokens cannot be in 1 iterations of at most 3"),
        ((1,), Totals(3, 0), "0 were emitted in 0 iterations"),
    ],
)
def test_a_contradiction_is_an_error(tokens: Sequence[int], totals: Totals | None, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        acceptance_record(responses(*tokens), totals, THREE)


def test_iteration_statistics_are_summed_and_never_averaged() -> None:
    counts = IterationCounts()
    assert counts.counters() is None
    counts.add({"iter": 0})
    counts.add({"iter": 1, "specDecodingStats": None})
    assert counts.counters() is None
    for requests, accepted, length in ((8, 16, 3.0), (1, 0, 1.0)):
        section = {
            "numRequestsWithDraftTokens": requests,
            "numAcceptedTokens": accepted,
            "numDraftTokens": 3 * requests,
            "acceptanceLength": length,
        }
        counts.add({"iter": 2, "specDecodingStats": section})
        counts.add({"iter": 2, "specDecodingStats": section, "attentionDpRank": 1})
        counts.add({"iter": 2, "specDecodingStats": section, "attentionDpRank": 0})
    # 1 + 32 / 18 = 2.78; the mean of the lengths would be 2.0.
    assert counts.counters() == SpeculationCounters(18, None, None, accepted_in_all=32)
    with pytest.raises(EngineError, match="specDecodingStats has no 'numRequestsWithDraftTokens'"):
        counts.add({"specDecodingStats": {"numAcceptedTokens": 1}})
