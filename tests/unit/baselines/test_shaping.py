from __future__ import annotations

import msgspec
import pytest

from pytest_speedbench.baselines import AcceptanceKey, acceptance_differences
from pytest_speedbench.baselines.fingerprint import acceptance_notes
from pytest_speedbench.baselines.shaping import draft_schedule_of, shaping_of
from tests.unit.metrics.runs import conversation, run, turn

KEY = AcceptanceKey.of(run([conversation("a-1", "a", turn((1, 2)))]))


@pytest.mark.parametrize(
    ("args", "shaping"),
    [
        ({"dtype": "float32", "max_num_seqs": 4}, {}),
        ({"logits_processors": ["mine:Bias"]}, {"logits_processors": ["mine:Bias"]}),
        ({"override_generation_config": {"eos_token_id": 3}}, {"override_generation_config": {"eos_token_id": 3}}),
        ({"extra_body": {"user": "ci", "priority": 3, "request_id": "x"}}, {}),
        (
            {"extra_body": {"stop": ["a"], "new_field": 1}},
            {"extra_body.new_field": 1, "extra_body.stop": ["a"]},
        ),
        ({"extra_body": {"api_key": "hunter22"}}, {"extra_body.api_key": "***"}),
    ],
)
def test_what_shapes_outputs(args: dict[str, object], shaping: dict[str, object]) -> None:
    assert shaping_of(args) == shaping


def test_what_shapes_one_side_only_is_named() -> None:
    then = msgspec.structs.replace(KEY, shaping={})
    shaping = {"extra_body.response_format": {"type": "json_object"}, "grammar": "x" * 99}
    now = msgspec.structs.replace(KEY, shaping=shaping)
    assert [str(found) for found in acceptance_differences(then, now)] == [
        'extra_body.response_format: none in the baseline, {"type": "json_object"} now',
        f'grammar: none in the baseline, "{"x" * 59}… now',
    ]
    assert acceptance_notes(then, now) == ()


def test_end_tokens_are_compared_whatever_their_order() -> None:
    then, now = (msgspec.structs.replace(KEY, end_token_ids=ids) for ids in ((2,), (2, 17)))
    assert [str(found) for found in acceptance_differences(then, now)] == ["end tokens: 2 in the baseline, 2, 17 now"]
    assert not acceptance_differences(now, now)


def test_what_is_not_recorded_keeps_nothing_from_being_compared_and_is_named() -> None:
    old = msgspec.structs.replace(KEY, end_token_ids=None, shaping=None)
    now = msgspec.structs.replace(KEY, end_token_ids=(2,), shaping={"extra_body.stop": ["a"]})
    assert not acceptance_differences(old, now)
    notes = acceptance_notes(old, now)
    assert notes == (
        "Whether the same tokens end an output on both sides is not known: the baseline keeps none.",
        "extra_body.stop shaped the outputs of one side, and whether it did those of the other is not known.",
    )


@pytest.mark.parametrize(
    ("args", "schedule"),
    [
        ({"speculative_config": {"method": "eagle3", "num_speculative_tokens": 3}}, None),
        ({"speculative_adaptive": False}, None),
        (
            {"speculative_config": {"num_speculative_tokens_per_batch_size": [(1, 4, 3), (5, 64, 1)]}},
            {"num_speculative_tokens_per_batch_size": [[1, 4, 3], [5, 64, 1]], "concurrency": 8},
        ),
        (
            {"speculative_config": '{"num_speculative_tokens_per_batch_size": [[1, 64, 2]]}'},
            {"num_speculative_tokens_per_batch_size": [[1, 64, 2]], "concurrency": 8},
        ),
        ({"speculative_adaptive": True}, {"speculative_adaptive": True, "concurrency": 8}),
        (
            {"speculative_config": {"draft_len_schedule": {"1": 3, "8": 1}}},
            {"draft_len_schedule": {"1": 3, "8": 1}, "concurrency": 8},
        ),
    ],
)
def test_draft_lengths_by_load(args: dict[str, object], schedule: dict[str, object] | None) -> None:
    assert draft_schedule_of(args, 8) == schedule


def test_other_loads_of_one_schedule_are_not_compared() -> None:
    args = {"speculative_adaptive": True}
    one, eight = (msgspec.structs.replace(KEY, draft_schedule=draft_schedule_of(args, load)) for load in (1, 8))
    assert acceptance_differences(one, one) == ()
    for then, now in ((one, eight), (KEY, one), (one, KEY)):
        (found,) = acceptance_differences(then, now)
        assert found.field == "draft lengths by load"
