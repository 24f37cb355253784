"""Whose rule is replayed, what of an engine's settings it takes, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Load, Pair, Sampling
from pytest_speedbench.engines.base import Finish, Request
from pytest_speedbench.engines.replay import check
from pytest_speedbench.engines.replay.engine import ReplayEngine
from pytest_speedbench.engines.replay.lookup import SGLANG, TRTLLM, lookup_judge, rule_of
from pytest_speedbench.engines.replay.lookup.settings import SglangTrees, TrtllmPool, sglang_trees, trtllm_pool
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import read_outputs
from pytest_speedbench.splits import load_split, select

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")


def pair(engine: str, args: Mapping[str, EngineArg] | None = None, draft_length: int = 3) -> Pair:
    """A pair of the bundled family that decodes n-grams, as it is replayed."""
    decodes = Pair("p", engine, "bundled:target", Drafter(DrafterMethod.NGRAM, None, draft_length), args or {})
    return replayed(decodes, OUTPUTS)


def sglang(args: Mapping[str, EngineArg] | None = None) -> Pair:
    return pair("sglang", {"disable_overlap_schedule": True, **(args or {})})


def test_settings_are_the_serving_engines_own() -> None:
    args: dict[str, EngineArg] = {
        "speculative_ngram_max_bfs_breadth": 4,
        "speculative_ngram_min_bfs_breadth": 2,
        "speculative_ngram_max_trie_depth": 9,
        "speculative_ngram_capacity": 5000,
        "speculative_ngram_match_type": "BFS",
        "speculative_ngram_external_sam_budget": 0,
        "max_running_requests": 4,
    }
    options = ReplayOptions.parse(sglang(args).engine_args)
    assert sglang_trees(3, options.lookup) == SglangTrees(3, 9, 2, 4, 5000)
    assert rule_of(sglang(args), options) is SGLANG
    speculative: dict[str, EngineArg] = {"is_keep_all": False, "is_use_oldest": False, "max_matching_ngram_size": 5}
    replays = pair("trtllm-serve", {"speculative_config": speculative, "max_batch_size": 8})
    options = ReplayOptions.parse(replays.engine_args)
    assert trtllm_pool(3, options.lookup) == TrtllmPool(3, 5, keeps_all=False, drafts_oldest=False)
    assert rule_of(replays, options) is TRTLLM


@pytest.mark.parametrize(
    ("replays", "problem"),
    [
        (pair("llamacpp"), "The engine llamacpp looks n-grams up by rules of its own"),
        (pair("sglang"), "With overlapping schedules SGLang remembers"),
        (sglang({"dp_size": 2}), "Every data-parallel rank of SGLang remembers"),
        (sglang({"speculative_ngram_match_type": "PROB"}), "chooses between equals by the layout of its heap"),
        (sglang({"speculative_ngram_external_sam_budget": 2}), "external_sam_budget is not replayed"),
        (sglang({"speculative_ngram_max_trie_depth": 1}), "SGLang takes no speculative_ngram_max_trie_depth of 1"),
        (sglang({"speculative_ngram_min_bfs_breadth": 2}), "a breadth from 2 to 1"),
        (sglang({"speculative_ngram_capacity": True}), "must be a whole number of at least 1, not True"),
        (pair("trtllm", {"speculative_config": {"is_public_pool": True}}), "drafts from all requests before"),
        (pair("trtllm", {"speculative_config": {"is_keep_all": 1}}), "is_keep_all is 1"),
        (pair("trtllm", {"speculative_config": {"draft_len_schedule": {"4": 3}}}), "draft_len_schedule does to"),
        (Pair("p", "replay", "t", Drafter.parse("ngram"), {"outputs": "o", "lookup": {"a": 1}}), "no argument lookup"),
        (Pair("p", "replay", "t", Drafter.parse("ngram"), {"outputs": "o", "lookup": 1}), "lookup is 1"),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_what_cannot_be_replayed_is_refused_before_anything_starts(replays: Pair, problem: str) -> None:
    with pytest.raises(EngineError) as caught:
        check(replays)
    assert problem in str(caught.value)


def test_sglang_is_replayed_one_request_at_a_time_and_for_one_draft_length() -> None:
    prompts = select(load_split("mini"), prompts=11)
    with Runner() as runner:
        run = runner.measure(sglang(), prompts, Sampling(64), Load())
        assert run.engine.args["lookup"] == "SGLang 0.5.23"
        records = [turn.acceptance for conversation in run.conversations for turn in conversation.turns]
        assert {record.tree_tokens for record in records if record is not None} == {3}
        assert {record.proposed_tokens for record in records if record is not None} == {None}
        with pytest.raises(OutputsError, match="say nothing of those of 2"):
            runner.at_draft_lengths(run, {2, 3})
        with pytest.raises(EngineError, match="at most 1 request at a time"):
            runner.measure(sglang(), prompts, Sampling(64), Load(2))


def test_tensorrt_llm_is_said_to_be_only_read() -> None:
    with Runner() as runner:
        run = runner.measure(pair("trtllm"), select(load_split("mini"), prompts=11), Sampling(64), Load(4))
    assert run.engine.args["lookup"] == "TensorRT-LLM 1.1, from its sources, never run"
    assert all(turn.acceptance.discarded_tokens == 0 for c in run.conversations for turn in c.turns if turn.acceptance)


def test_sglang_remembers_in_the_order_of_asking() -> None:
    rows = read_outputs(OUTPUTS).rows[:8]
    replays = sglang()
    order = [5, 2, 7, 2, 5, 0]

    async def asked() -> list[tuple[int, ...]]:
        engine, found = ReplayEngine(replays), []
        await engine.start()
        for place in order:
            events = [event async for event in engine.generate(Request("r", rows[place].prompt_ids, Sampling(64)))]
            assert isinstance(events[-1], Finish)
            assert events[-1].acceptance is not None
            found.append(events[-1].acceptance.histogram)
        await engine.stop()
        return found

    options = ReplayOptions.parse(replays.engine_args)
    found = asyncio.run(asked())
    expected = []
    for places in ([5, 2, 7], [2, 5, 0]):  # forgotten where a prompt comes again
        judge = lookup_judge(SGLANG, options, 3, 2048)
        for place in places:
            steps, begin = [0] * 4, 0
            (reach,) = judge([rows[place]])
            while begin < len(rows[place].output_ids) - 1:
                accepted = reach(begin).accepted_tokens
                steps[accepted] += 1
                begin += accepted + 1
            expected.append(tuple(steps))
    assert found == expected
