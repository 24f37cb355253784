from __future__ import annotations

import re

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Emission, Finish, Request
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.arrivals import Arrivals


def arrived(*tokens: int, limit: int = 40, vocab_size: int = 256) -> Arrivals:
    arrivals = Arrivals("scripted", Request("math-01/1", (1, 2), Sampling(limit)), vocab_size)
    for token in tokens:
        arrivals.add(Emission((token,), 0.0))
    return arrivals


def held(record: AcceptanceRecord, output_tokens: int, *, counted_tokens: int | None = None) -> Finish:
    arrivals = arrived(*(7 for _ in range(output_tokens)))
    arrivals.add(Finish("length", record, counted_tokens=counted_tokens))
    return arrivals.ended()


def record(
    *histogram: int, undrafted: int | None = 0, discarded: int | None = None, tree: int | None = None
) -> AcceptanceRecord:
    return AcceptanceRecord(len(histogram) - 1, histogram, None, undrafted, discarded, tree_tokens=tree)


def test_a_record_that_makes_the_tokens_that_arrived_is_taken() -> None:
    # 10 steps of 4 tokens, of which the last may have been cut: 38, 39, 40 or 41 tokens with the prefill's.
    for output_tokens in (38, 39, 40):
        assert held(record(0, 0, 0, 10), output_tokens).acceptance is not None
    assert held(record(5, 0, 0, 1, undrafted=2), 12).acceptance is not None


@pytest.mark.parametrize("output_tokens", [37, 12])
def test_too_many_tokens_by_the_record_are_refused(output_tokens: int) -> None:
    with pytest.raises(EngineError) as refused:
        held(record(0, 0, 0, 10), output_tokens)
    message = str(refused.value)
    assert "scripted says of the request math-01/1 that 10 verify steps accepted 30 draft tokens" in message
    assert f"which makes 40 tokens; but {output_tokens - 1} arrived" in message
    assert "Report it" in message


def test_too_few_tokens_by_the_record_are_refused() -> None:
    with pytest.raises(EngineError, match=r"5 verify steps and 3 steps without a draft accepted 0 .* makes 8 tokens"):
        held(record(5, 0, 0, 0, undrafted=3), 10)


def test_where_undrafted_steps_are_not_counted_only_too_many_tokens_are_refused() -> None:
    assert held(record(1, 0, 0, 1, undrafted=None), 30).acceptance is not None
    with pytest.raises(EngineError, match="makes 12 tokens"):
        held(record(0, 0, 0, 3, undrafted=None), 9)


def test_where_the_tokens_cut_off_are_counted_the_record_makes_exactly_what_arrived() -> None:
    assert held(record(0, 0, 0, 3, discarded=2), 11).acceptance is not None
    for output_tokens in (10, 12):
        with pytest.raises(EngineError, match="makes 12 tokens, less 2 cut off at the end"):
            held(record(0, 0, 0, 3, discarded=2), output_tokens)


def test_no_more_than_a_step_is_cut_off() -> None:
    with pytest.raises(EngineError, match="less 30 cut off"):
        held(record(0, 0, 0, 10, discarded=30), 11)


def test_a_tree_accepts_no_more_than_its_depth() -> None:
    assert held(record(0, 0, 0, 3, tree=7), 10).acceptance is not None
    with pytest.raises(EngineError, match="makes 12 tokens"):
        held(record(0, 0, 0, 3, tree=7), 9)


def test_a_histogram_of_a_thousand_million_steps_is_refused() -> None:
    with pytest.raises(EngineError, match="1000000000 verify steps"):
        held(record(0, 0, 0, 10**9), 40)


def test_an_answer_that_came_as_text_is_held_to_the_engines_own_count_of_tokens() -> None:
    assert held(record(0, 0, 0, 3, discarded=0), 15, counted_tokens=13).acceptance is not None
    with pytest.raises(EngineError, match=r"makes 12 tokens.*but 14 arrived"):
        held(record(0, 0, 0, 3, discarded=0), 13, counted_tokens=15)


def test_more_tokens_than_asked_are_refused() -> None:
    with pytest.raises(EngineError, match=r"math-01/1 has 4 tokens by now, and at most 3 were asked"):
        arrived(1, 2, 3, 4, limit=3)


@pytest.mark.parametrize("token", [-1, 256, 7.0, "7", True, None])
def test_token_ids_outside_the_vocabulary_or_of_another_type_are_refused(token: object) -> None:
    words = re.escape(f"has the token id {token!r}, and the target has the ids 0 to 255")
    with pytest.raises(EngineError, match=words):
        arrived().add(Emission((token,), 0.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("late", [Emission((7,), 0.0), Finish("stop", None)])
def test_nothing_comes_after_the_end(late: Emission | Finish) -> None:
    arrivals = arrived(7)
    arrivals.add(Finish("stop", None))
    with pytest.raises(EngineError, match="goes on after its end"):
        arrivals.add(late)


def test_an_answer_without_an_end_or_without_tokens_is_refused() -> None:
    with pytest.raises(EngineError, match="without an end"):
        arrived(7).ended()
    arrivals = arrived()
    arrivals.add(Finish("stop", None))
    with pytest.raises(EngineError, match="without any token"):
        arrivals.ended()
