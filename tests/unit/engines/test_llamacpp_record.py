"""Tokens with llama.cpp's running counts become steps, emissions and the acceptance record."""

from __future__ import annotations

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.engines.base import Emission
from pytest_speedbench.engines.llamacpp.record import StepLog, TokenEvent
from pytest_speedbench.errors import EngineError

Count = tuple[int, int]


def read(counts: list[Count | None], draft_length: int | None = 3) -> tuple[list[Emission], AcceptanceRecord | None]:
    """Token n arrives at second n, with the counts (proposed, accepted) so far."""
    log = StepLog(draft_length)
    emissions = []
    for number, count in enumerate(counts):
        proposed, accepted = (None, 0) if count is None else count
        if emission := log.add(TokenEvent(100 + number, float(number), proposed, accepted)):
            emissions.append(emission)
    if rest := log.rest():
        emissions.append(rest)
    assert log.emitted_tokens == len(counts) == sum(len(emission.token_ids) for emission in emissions)
    return emissions, log.record()


def test_a_step_is_one_emission_at_the_time_of_its_first_token() -> None:
    """As build 10434 answers: prefill, one accepted of three, none, none, one."""
    emissions, record = read([(0, 0), (3, 1), (3, 1), (6, 1), (9, 1), (12, 2), (12, 2)])
    assert [emission.token_ids for emission in emissions] == [(100,), (101, 102), (103,), (104,), (105, 106)]
    assert [emission.at_s for emission in emissions] == [0.0, 1.0, 3.0, 4.0, 5.0]
    assert record == AcceptanceRecord(3, (2, 2, 0, 0), 12, 0, 0)
    assert record.expected_output_tokens() == 7


def test_a_token_beyond_its_step_was_decoded_without_a_draft() -> None:
    emissions, record = read([(0, 0), (0, 0), (3, 2), (3, 2), (3, 2), (3, 2), (3, 2), (5, 4), (5, 4), (5, 4)])
    assert [len(emission.token_ids) for emission in emissions] == [1, 1, 3, 1, 1, 3]
    assert record == AcceptanceRecord(3, (0, 0, 2, 0), 5, 3, 0, reached=(2, 2, 1))
    assert record.expected_output_tokens() == 10


def test_what_the_end_of_the_sequence_cut_off_is_discarded() -> None:
    emissions, record = read([(0, 0), (3, 3), (3, 3)])
    assert [emission.token_ids for emission in emissions] == [(100,), (101, 102)]
    assert record == AcceptanceRecord(3, (0, 0, 0, 1), 3, 0, 2)
    assert record.expected_output_tokens() == 3


def test_newer_builds_accept_nothing_beyond_the_end_of_the_sequence() -> None:
    """As build 11434 answers where the second of three drafted tokens is the end: only the first counts as accepted."""
    _, record = read([(0, 0), (3, 1), (3, 1)])
    assert record == AcceptanceRecord(3, (0, 1, 0, 0), 3, 0, 0)
    assert record.expected_output_tokens() == 3


def test_drafts_of_any_length_up_to_the_longest() -> None:
    _, record = read([(0, 0), (1, 1), (1, 1), (3, 1), (6, 3), (6, 3), (6, 3)])
    assert record == AcceptanceRecord(3, (1, 1, 1, 0), 6, 0, 0, reached=(3, 1, 1))


def test_an_answer_of_one_token_has_no_decode_step() -> None:
    assert read([(0, 0)])[1] == AcceptanceRecord(3, (0, 0, 0, 0), 0, 0, 0)


def test_without_a_drafter_or_without_counts_there_is_no_record() -> None:
    emissions, record = read([(0, 0), (0, 0), (0, 0)], draft_length=None)
    assert (len(emissions), record) == (3, None)
    emissions, record = read([None, None, None])
    assert (len(emissions), record) == (3, None)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([(0, 0), (4, 0)], "impossible verify step"),
        ([(0, 0), (2, 3), (2, 3), (2, 3), (2, 3)], "impossible verify step"),
        ([(0, 0), (3, 2), (6, 2)], "a new draft with 2 tokens of the last step still to come"),
    ],
)
def test_counts_that_contradict_the_tokens(counts: list[Count | None], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        read(counts)
