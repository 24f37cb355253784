"""Payloads of every server, as recorded or as its sources have them, become records or are absent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.config import Drafter, Sampling
from pytest_speedbench.engines.base import Request
from pytest_speedbench.engines.openai.acceptance import acceptance_of
from pytest_speedbench.engines.openai.answer import Reported, StreamedAnswer
from pytest_speedbench.engines.openai.dialects import Dialect
from pytest_speedbench.engines.openai.payload import Timings
from pytest_speedbench.engines.sglang.record import DraftShape
from pytest_speedbench.errors import EngineError

EAGLE3 = Drafter.parse("eagle3:head", 3)
NGRAM = Drafter.parse("ngram", 3)
SIZES = [1, 3, 1, 4, 2]
"""Tokens of the prefill and of steps that accepted 2, 0, 3 and 1."""


def sglang(**changes: object) -> dict[str, Any]:
    return {
        "spec_accept_rate": 0.5,
        "spec_accept_length": 2.75,
        "spec_num_correct_drafts": 6,
        "spec_num_proposed_drafts": 12,
        "spec_verify_ct": 4,
        "spec_correct_drafts_histogram": [1, 1, 1, 1],
        **changes,
    }


def test_nothing_said_is_no_record() -> None:
    assert acceptance_of(Reported(list(SIZES)), EAGLE3, None) is None


def test_sglang_by_the_pairs_word_and_by_its_own() -> None:
    reported = Reported(list(SIZES), sglang=sglang())
    assert acceptance_of(reported, EAGLE3, None) == AcceptanceRecord(3, (1, 1, 1, 1), 12, None, None)
    assert acceptance_of(reported, EAGLE3, DraftShape(3)) == AcceptanceRecord(3, (1, 1, 1, 1), 12, 0, 0)
    assert acceptance_of(reported, NGRAM, None) == AcceptanceRecord(3, (1, 1, 1, 1), None, None, None)
    with pytest.raises(EngineError, match="with a draft length of 5, and the pair has a draft length of 3"):
        acceptance_of(reported, EAGLE3, DraftShape(5))


def test_sglangs_trees() -> None:
    reported = Reported(list(SIZES), sglang=sglang(spec_num_proposed_drafts=28))
    record = acceptance_of(reported, EAGLE3, None)
    assert record is not None
    assert (record.tree_tokens, record.proposed_tokens, record.al) == (7, 28, 2.5)


def test_sglang_writes_zeros_for_what_it_does_not_know() -> None:
    empty = sglang(spec_verify_ct=0, spec_num_correct_drafts=0, spec_num_proposed_drafts=0)
    empty["spec_correct_drafts_histogram"] = []
    assert acceptance_of(Reported(list(SIZES), sglang=empty), EAGLE3, None) is None
    only_steps = sglang(spec_correct_drafts_histogram=[])
    assert acceptance_of(Reported(list(SIZES), sglang=only_steps), EAGLE3, None) is None
    nothing_accepted = sglang(spec_num_correct_drafts=0, spec_correct_drafts_histogram=[4])
    record = acceptance_of(Reported([1, 1, 1, 1, 1], sglang=nothing_accepted), EAGLE3, None)
    assert record is not None
    assert record.al == 1.0


def trtllm(sizes: Sequence[int], iterations: Sequence[int], unseen: int = 0) -> Reported:
    """The average after every chunk; ``unseen`` tokens are counted in the last one and not emitted."""
    totals = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    totals[-1] += unseen
    return Reported(list(sizes), trtllm=[total / count for total, count in zip(totals, iterations, strict=True)])


def test_tensorrt_llm_by_iterations() -> None:
    expected = AcceptanceRecord(3, (1, 1, 1, 1), None, None, None, AcceptanceSource.STREAM)
    assert acceptance_of(trtllm(SIZES, (1, 2, 3, 4, 5)), EAGLE3, None) == expected
    assert acceptance_of(trtllm(SIZES, (1, 2, 3, 4, 5), unseen=1), EAGLE3, None) == expected


def test_tensorrt_llms_merged_chunks_are_noticed() -> None:
    assert acceptance_of(trtllm((1, 4, 4, 2), (1, 3, 4, 5)), EAGLE3, None) is None
    reported = Reported(list(SIZES), trtllm=[1.0, 2.0])
    assert acceptance_of(reported, EAGLE3, None) is None


def llamacpp(*counts: tuple[int, int, int]) -> Reported:
    return Reported(llamacpp=[Timings(*row) for row in counts])


def test_llamacpps_steps_vary_and_may_have_no_draft() -> None:
    reported = llamacpp((1, 0, 0), (2, 2, 1), (3, 2, 1), (4, 2, 1), (5, 5, 1), (6, 8, 4), (7, 8, 4), (7, 8, 4))
    # Two drafted and one accepted; none drafted; three and none; three and three, of which two tokens came.
    assert acceptance_of(reported, EAGLE3, None) == AcceptanceRecord(3, (1, 1, 0, 1), 8, 1, 2, reached=(3, 2, 1))


def test_llamacpps_tokens_that_end_within_a_character() -> None:
    within_a_step = llamacpp((1, 0, 0), (2, 3, 3), (4, 3, 3), (5, 3, 3))
    assert acceptance_of(within_a_step, EAGLE3, None) == AcceptanceRecord(3, (0, 0, 0, 1), 3, 0, 0)
    of_one_step_or_the_next = llamacpp((1, 0, 0), (3, 3, 1))
    assert acceptance_of(of_one_step_or_the_next, EAGLE3, None) is None


def test_counts_that_are_not_of_the_answer_or_no_counts_are_refused() -> None:
    endless = llamacpp((1, 0, 0), (10**12, 3, 3))
    endless.output_tokens = 11
    with pytest.raises(EngineError, match="count 1000000000000 tokens of an answer that has 11"):
        acceptance_of(endless, EAGLE3, None)
    for wrong in ("4", 4.0, [4], True):
        with pytest.raises(EngineError, match=r"spec_verify_ct is .*, and no count"):
            acceptance_of(Reported(list(SIZES), sglang=sglang(spec_verify_ct=wrong)), EAGLE3, None)
    assert acceptance_of(Reported(list(SIZES), trtllm=[1e-320] * len(SIZES)), EAGLE3, None) is None


def test_more_than_the_pair_drafts() -> None:
    with pytest.raises(EngineError, match="contradict themselves"):
        acceptance_of(llamacpp((1, 0, 0), (2, 8, 1), (3, 8, 1)), EAGLE3, None)


@pytest.mark.parametrize("name", ["token_id:", "token_id:x", "token_id:-1", "token_id:1.0", "token_id:" + "9" * 5000])
def test_a_token_named_by_no_number_is_no_id(name: str) -> None:
    answer = StreamedAnswer(Request("math-01/1", (1,), Sampling(8)), Dialect("logprobs"))
    event = {"choices": [{"text": "x", "logprobs": {"tokens": ["token_id:7", name]}}]}
    with pytest.raises(EngineError, match="has no token ids"):
        answer.read(msgspec.json.encode(event), 0.0)
