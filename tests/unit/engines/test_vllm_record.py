"""vLLM's metrics and the sizes of its steps become the acceptance record."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_speedbench.engines.steps import accounts_for
from pytest_speedbench.engines.vllm.record import acceptance_record, undrafted_steps
from pytest_speedbench.errors import EngineError
from pytest_speedbench.metrics.acceptance import rates_where_tried

K = 3


def metrics(accepted: list[int], drafted: int | None = None, *, detailed: bool = True) -> dict[str, Any]:
    histogram = [accepted.count(j) for j in range(K + 1)]
    payload: dict[str, Any] = {
        "acceptance_histogram": histogram,
        "num_draft_tokens": K * len(accepted) if drafted is None else drafted,
        "num_spec_tokens": K,
    }
    if detailed and accepted:
        payload["per_step_accepted"] = accepted
    return payload


decode_steps = st.lists(st.one_of(st.none(), st.integers(0, K)), max_size=40)
"""One request's decode steps: tokens accepted, or ``None`` for a step without a draft."""


@given(decode_steps, st.integers(0, K))
def test_the_end_and_the_steps_without_a_draft_are_found(steps: list[int | None], cut: int) -> None:
    sizes = [1, *((1 if accepted is None else accepted + 1) for accepted in steps)]
    cut = min(cut, sizes[-1] - 1)
    sizes[-1] -= cut
    accepted = [step for step in steps if step is not None]
    record = acceptance_record(metrics(accepted), sizes, sum(sizes))
    assert record.undrafted_steps == steps.count(None)
    assert record.discarded_tokens == cut
    assert record.verify_steps == len(accepted)
    assert record.expected_output_tokens() == sum(sizes)


@given(decode_steps, st.data())
def test_merged_emissions_are_noticed_or_do_no_harm(steps: list[int | None], data: st.DataObject) -> None:
    """Of a drafter that always drafts, merging two emissions is always noticed."""
    accepted = [step for step in steps if step is not None]
    assume(len(accepted) > 1)
    sizes = [1, *(step + 1 for step in accepted)]
    at = data.draw(st.integers(0, len(sizes) - 2))
    merged = [*sizes[:at], sizes[at] + sizes[at + 1], *sizes[at + 2 :]]
    record = acceptance_record(metrics(accepted), merged, sum(merged))
    assert (record.undrafted_steps, record.discarded_tokens) == (None, None)
    assert record.al == 1 + sum(accepted) / len(accepted)


def test_without_details_or_emissions_the_rest_stays_unknown() -> None:
    for record in (
        acceptance_record(metrics([3, 0], detailed=False), [1, 4, 1], 6),
        acceptance_record(metrics([3, 0]), None, 6),
    ):
        assert record.histogram == (1, 0, 0, 1)
        assert (record.undrafted_steps, record.discarded_tokens) == (None, None)


def test_a_request_without_any_verify_step() -> None:
    record = acceptance_record(metrics([], 0), [1, 1, 1], 3)
    assert (record.verify_steps, record.undrafted_steps, record.discarded_tokens, record.al) == (0, 2, 0, None)


def test_an_adaptive_drafter_proposes_fewer() -> None:
    assert acceptance_record(metrics([1, 0], drafted=3), [1, 2, 1], 4).proposed_tokens == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"acceptance_histogram": [1, 0, 0, 0]},
        {"num_draft_tokens": 2},
        {"num_spec_tokens": 5},
        {"acceptance_histogram": None},
        {"per_step_accepted": [7, 0]},
        {"acceptance_histogram": [1.0, 0, 0, 1]},
        {"acceptance_histogram": "1001"},
        {"acceptance_histogram": [True, 0, 0, 1]},
        {"num_draft_tokens": "6"},
        {"num_draft_tokens": 6.0},
        {"per_step_accepted": [3.0, 0.0]},
    ],
)
def test_counts_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="acceptance metrics contradict themselves"):
        acceptance_record({**metrics([3, 0]), **wrong}, [1, 4, 1], 6)


def test_a_first_emission_of_several_tokens_is_no_prefill() -> None:
    assert undrafted_steps([1], [2, 1]) is None


def test_steps_that_are_known_one_by_one_must_match_the_metrics() -> None:
    assert acceptance_record(metrics([3, 0]), [1, 1, 4, 1], 7, single_steps=True).undrafted_steps == 1
    assert acceptance_record(metrics([3, 0]), [1, 5], 6).undrafted_steps is None
    with pytest.raises(EngineError, match=r"its steps accepted \[3, 0\], and they emitted \[1, 5\] tokens"):
        acceptance_record(metrics([3, 0]), [1, 5], 6, single_steps=True)
    assert acceptance_record(metrics([3, 0], detailed=False), [1, 5], 6, single_steps=True).undrafted_steps is None


def test_a_log_of_steps_accounts_for_its_own_tokens_only() -> None:
    steps = deque([(0.0, 1), (0.1, 4), (0.2, 2)])
    assert [accounts_for((7,) * tokens, steps) for tokens in range(9)] == [
        True, True, False, False, False, True, False, True, False
    ]  # fmt: skip


def test_rates_are_of_the_steps_that_proposed_a_token_at_the_position() -> None:
    """K by batch size: most steps are asked for one token only."""
    payload = metrics([1, 1, 0, 3, 1], 1 + 1 + 1 + 3 + 3) | {"per_step_drafted": [1, 1, 1, 3, 3]}
    record = acceptance_record(payload, [1, 2, 2, 1, 4, 2], 12)
    assert record.tried == (5, 2, 1)
    assert (record.undrafted_steps, record.discarded_tokens) == (0, 0)
    assert rates_where_tried(record) == (0.8, 0.5, 1.0)
    without = acceptance_record({k: v for k, v in payload.items() if k != "per_step_drafted"}, [1, 2, 2, 1, 4, 2], 12)
    assert rates_where_tried(without) == (None, None, None), "of other lengths, and nobody says which"


def test_a_step_whose_draft_was_taken_back_is_one_without_a_draft() -> None:
    payload = metrics([0, 3], 3) | {"per_step_drafted": [0, 3]}
    record = acceptance_record(payload, [1, 1, 4], 6)
    assert (record.histogram, record.undrafted_steps, record.discarded_tokens) == ((0, 0, 0, 1), 1, 0)


@pytest.mark.parametrize("drafted", [[1, 1], [1, 1, 1, 3, 2], [1, 1, 0, 3, 4], [0, 2, 1, 3, 3]])
def test_drafts_that_are_not_those_of_the_record_are_refused(drafted: list[int]) -> None:
    payload = metrics([1, 1, 0, 3, 1], 9) | {"per_step_drafted": drafted}
    with pytest.raises(EngineError, match="contradict themselves"):
        acceptance_record(payload, [1, 2, 2, 1, 4, 2], 12)
