"""SGLang's ``meta_info`` becomes the acceptance record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.config import Drafter
from pytest_speedbench.engines.sglang.record import DraftShape, acceptance_record, draft_shape
from pytest_speedbench.engines.sglang_serve.description import served_shape
from pytest_speedbench.errors import EngineError

K = 3
CHAIN = DraftShape(K)
NGRAM = DraftShape(K, tree_tokens=K, full_drafts=False)

# As SGLang 0.5.23 sent them, on the bundled family.
DRAFT_MODEL = {
    "finish_reason": {"type": "length", "length": 24},
    "num_retractions": 0,
    "completion_tokens": 24,
    "spec_accept_rate": 0.8571428571428571,
    "spec_accept_length": 3.4285714285714284,
    "spec_num_correct_drafts": 18,
    "spec_num_proposed_drafts": 21,
    "spec_verify_ct": 7,
    "spec_correct_drafts_histogram": [0, 1, 1, 5],
}
EAGLE3_STOPPED = {
    "finish_reason": {"type": "stop", "matched": 3},
    "num_retractions": 0,
    "completion_tokens": 7,
    "spec_accept_rate": 0.4444444444444444,
    "spec_accept_length": 2.3333333333333335,
    "spec_num_correct_drafts": 4,
    "spec_num_proposed_drafts": 9,
    "spec_verify_ct": 3,
    "spec_correct_drafts_histogram": [1, 1, 0, 1],
}
NGRAM_SHORT = {
    "finish_reason": {"type": "length", "length": 24},
    "num_retractions": 0,
    "completion_tokens": 24,
    "spec_accept_rate": 0.031746031746031744,
    "spec_accept_length": 1.1428571428571428,
    "spec_num_correct_drafts": 2,
    "spec_num_proposed_drafts": 63,
    "spec_verify_ct": 21,
    "spec_correct_drafts_histogram": [19, 2],
}


def meta(accepted: list[int], step_tokens: int = K) -> dict[str, Any]:
    """What SGLang says of a request whose verify steps accepted so many drafts."""
    return {
        "num_retractions": 0,
        "spec_num_correct_drafts": sum(accepted),
        "spec_num_proposed_drafts": step_tokens * len(accepted),
        "spec_verify_ct": len(accepted),
        "spec_correct_drafts_histogram": [accepted.count(j) for j in range(max(accepted) + 1)],
    }


def test_the_stated_length_is_not_the_acceptance_length() -> None:
    record = acceptance_record(DRAFT_MODEL, CHAIN, 24)
    assert record is not None
    assert record.al == 1 + 18 / 7
    assert record.al != DRAFT_MODEL["spec_accept_length"]
    assert (record.verify_steps, record.proposed_tokens, record.discarded_tokens) == (7, 21, 2)
    assert record.expected_output_tokens() == 24


def test_what_an_end_token_cut_off_is_counted() -> None:
    record = acceptance_record(EAGLE3_STOPPED, CHAIN, 7)
    assert record is not None
    assert (record.histogram, record.discarded_tokens, record.undrafted_steps) == ((1, 1, 0, 1), 1, 0)


def test_padded_drafts_are_no_proposals() -> None:
    record = acceptance_record(NGRAM_SHORT, NGRAM, 24)
    assert record is not None
    assert record.proposed_tokens is None
    assert record.histogram == (19, 2, 0, 0)
    assert (record.al, record.decode_steps, record.discarded_tokens) == (1 + 2 / 21, 21, 0)


@given(st.lists(st.integers(0, K), min_size=1, max_size=40), st.integers(0, K))
def test_the_end_is_found(accepted: list[int], cut: int) -> None:
    cut = min(cut, accepted[-1])
    output_tokens = 1 + sum(accepted) + len(accepted) - cut
    record = acceptance_record(meta(accepted), CHAIN, output_tokens)
    assert record is not None
    assert record.discarded_tokens == cut
    assert record.proposed_tokens == K * len(accepted)
    assert record.expected_output_tokens() == output_tokens


def test_a_request_that_ends_with_its_prefill_has_no_step() -> None:
    record = acceptance_record({"num_retractions": 0}, CHAIN, 1)
    assert record is not None
    assert (record.verify_steps, record.discarded_tokens, record.al) == (0, 0, None)


@pytest.mark.parametrize("missing", ["spec_verify_ct", "spec_num_correct_drafts", "spec_correct_drafts_histogram"])
def test_what_is_not_said_is_absent(missing: str) -> None:
    said = {name: value for name, value in DRAFT_MODEL.items() if name != missing}
    assert acceptance_record(said, CHAIN, 24) is None


def test_a_tree_proposes_more_than_it_is_deep() -> None:
    tree = DraftShape(draft_length=K, tree_tokens=7)
    record = acceptance_record(meta([3, 0, 2], step_tokens=7), tree, 9)
    assert record is not None
    assert (record.draft_length, record.tree_tokens, record.proposed_tokens) == (3, 7, 21)
    assert record.histogram == (1, 0, 1, 1)


def test_an_adaptive_drafter_may_draft_more_than_at_the_start() -> None:
    shape = DraftShape(K, full_drafts=False, adaptive=True)
    record = acceptance_record({**meta([5, 1]), "spec_num_proposed_drafts": 6}, shape, 9)
    assert record is not None
    assert (record.draft_length, record.proposed_tokens, record.verify_steps) == (5, None, 2)


@pytest.mark.parametrize(
    ("said", "shape"), [({"num_retractions": 1}, CHAIN), ({}, DraftShape(K, verifies_always=False))]
)
def test_tokens_from_elsewhere_leave_the_end_unknown(said: dict[str, Any], shape: DraftShape) -> None:
    record = acceptance_record({**meta([3, 0]), **said}, shape, 7)
    assert record is not None
    assert (record.undrafted_steps, record.discarded_tokens) == (None, None)
    assert record.al == 2.5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"spec_verify_ct": 3}, "3 verify steps, and the histogram"),
        ({"spec_num_correct_drafts": 4}, "4 accepted tokens, and the histogram"),
        ({"spec_correct_drafts_histogram": [1, 0, 0, 0, 1], "spec_num_correct_drafts": 4}, "accepted 4 of 3 draft"),
        ({"spec_num_proposed_drafts": 10}, "10 proposed tokens in 2 verify steps of 3"),
        ({"spec_correct_drafts_histogram": "many"}, "is 'many', and no list of counts"),
        ({"spec_correct_drafts_histogram": [1.0, True]}, "is 1.0, and no count"),
        ({"spec_num_correct_drafts": "2"}, "is '2', and no count"),
    ],
)
def test_counts_that_contradict_each_other_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=rf"SGLang's meta_info contradicts itself: .*{words}"):
        acceptance_record({**meta([3, 0]), **wrong}, CHAIN, 6)


@pytest.mark.parametrize("output_tokens", [7, 2])
def test_an_output_that_its_steps_cannot_have_given_is_refused(output_tokens: int) -> None:
    with pytest.raises(EngineError, match="gave 5 tokens, and the output has"):
        acceptance_record(meta([3, 0]), CHAIN, output_tokens)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"speculative_algorithm": None}, None),
        (
            {
                "speculative_algorithm": "EAGLE3",
                "speculative_num_steps": 3,
                "speculative_eagle_topk": 1,
                "speculative_num_draft_tokens": 4,
            },
            CHAIN,
        ),
        (
            {
                "speculative_algorithm": "EAGLE",
                "speculative_num_steps": 3,
                "speculative_eagle_topk": 4,
                "speculative_num_draft_tokens": 16,
                "enable_mixed_chunk": True,
            },
            DraftShape(3, tree_tokens=15, verifies_always=False),
        ),
        (
            # SGLang's own steps and top-k are nominal for n-grams and for blocks.
            {
                "speculative_algorithm": "NGRAM",
                "speculative_num_steps": 4,
                "speculative_eagle_topk": 1,
                "speculative_ngram_max_bfs_breadth": 1,
                "speculative_num_draft_tokens": 4,
            },
            NGRAM,
        ),
        (
            {
                "speculative_algorithm": "DFLASH",
                "speculative_num_steps": 1,
                "speculative_eagle_topk": 1,
                "speculative_num_draft_tokens": 16,
            },
            DraftShape(15),
        ),
        (
            {
                "speculative_algorithm": "EAGLE",
                "speculative_num_steps": 3,
                "speculative_eagle_topk": 1,
                "speculative_num_draft_tokens": 4,
                "speculative_adaptive": True,
            },
            DraftShape(3, full_drafts=False, adaptive=True),
        ),
    ],
)
def test_the_shape_of_a_draft_is_in_the_arguments(arguments: dict[str, Any], shape: DraftShape | None) -> None:
    assert draft_shape(arguments) == shape


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "it has no 'speculative_num_draft_tokens'"),
        (
            {"speculative_num_draft_tokens": 4, "speculative_num_steps": None},
            "speculative_num_steps is None, and no count",
        ),
        ({"speculative_num_draft_tokens": "4"}, "speculative_num_draft_tokens is '4', and no count"),
    ],
)
def test_a_server_that_does_not_say_how_it_drafts_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=f"do not say how it drafts with EAGLE3: {words}"):
        served_shape({"speculative_algorithm": "EAGLE3", **settings}, Drafter.parse("eagle3:head", 3))
