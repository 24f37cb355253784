"""The bundled family on vLLM: its own baselines, and the same answers as the transformers engine, prompt by prompt."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pytest_speedbench import Pair, Speedbench
from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.baselines import load_baseline, outputs_path
from pytest_speedbench.baselines.schema import output_sha256, prompt_entries
from pytest_speedbench.config import Load, Sampling
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split, select
from tests.real.vllm.conftest import vllm_pair

BASELINES = Path(__file__).resolve().parents[3] / "baselines"
OUTPUTS = outputs_path(BASELINES, "tiny-eagle3", "mini")
DRAFTERS = {
    "tiny-eagle3": "eagle3:bundled:eagle3",
    "tiny-eagle3-pruned": "eagle3:bundled:eagle3-pruned",
    "tiny-draft": "draft_model:bundled:draft",
    "tiny-ngram": "ngram",
}
CONCURRENCY = 16
"""The transformers baselines were recorded one request at a time: batching must not matter."""


@pytest.fixture(scope="module", params=DRAFTERS)
def pair(request: pytest.FixtureRequest, vllm_python: str) -> Pair:
    name: str = request.param
    return vllm_pair(name, DRAFTERS[name], vllm_python)


def test_no_pair_is_worse_than_its_baseline(speedbench: Speedbench, pair: Pair) -> None:
    speedbench.measure("mini", pair=pair, concurrency=CONCURRENCY).assert_no_regression()


def test_it_agrees_with_the_transformers_engine_in_every_prompt(speedbench: Speedbench, pair: Pair) -> None:
    run = speedbench.measure("mini", pair=pair, concurrency=CONCURRENCY).run
    stored = load_baseline(BASELINES, pair.name.removeprefix("vllm-"), "mini", record_command="").prompts
    differences = {
        ours.id: {
            name: (before, now)
            for (name, before), now in zip(
                msgspec.structs.asdict(theirs).items(), msgspec.structs.astuple(ours), strict=True
            )
            if before != now
        }
        for theirs, ours in zip(stored, prompt_entries(run), strict=True)
        if theirs != ours
    }
    assert differences == {}


def test_every_record_is_the_replayed_one(speedbench: Speedbench, pair: Pair) -> None:
    with Runner() as runner:  # one of its own, so that vLLM need not start anew
        part = select(load_split("mini"), prompts=22)
        replay = prompt_entries(runner.measure(replayed(pair, OUTPUTS), part, Sampling(64), Load()))
    for concurrency in (1, 8, 64):
        run = speedbench.measure("mini", pair=pair, prompts=22, concurrency=concurrency).run
        assert prompt_entries(run) == replay, f"concurrency {concurrency}"


def test_the_engines_counters_equal_the_requests_records(speedbench: Speedbench, pair: Pair) -> None:
    run = speedbench.measure("mini", pair=pair, concurrency=CONCURRENCY).run
    total = pool(record for conversation in run.conversations if (record := conversation.acceptance))
    assert total is not None
    assert isinstance(run.counters, AcceptanceRecord)
    assert (run.counters.histogram, run.counters.proposed_tokens) == (total.histogram, total.proposed_tokens)


def test_every_emission_is_one_step(speedbench: Speedbench, pair: Pair) -> None:
    run = speedbench.measure("mini", pair=pair, concurrency=CONCURRENCY).run
    for turn in (turn for conversation in run.conversations for turn in conversation.turns):
        assert turn.acceptance is not None
        assert len(turn.emissions) - 1 == turn.acceptance.decode_steps
        assert turn.acceptance.expected_output_tokens() == len(turn.output_ids)
        assert turn.preemptions == 0


def test_the_fingerprint_says_how_requests_are_batched(speedbench: Speedbench, pair: Pair) -> None:
    args = speedbench.measure("mini", pair=pair, concurrency=CONCURRENCY).run.engine.args
    assert args["enable_prefix_caching"] is False
    assert isinstance(args["max_num_seqs"], int)
    assert isinstance(args["enable_chunked_prefill"], bool)
    assert args["dtype"] == "float32"


def test_the_target_alone_gives_the_same_output(speedbench: Speedbench, vllm_python: str) -> None:
    run = speedbench.measure("mini", pair=vllm_pair("tiny-target", None, vllm_python), concurrency=CONCURRENCY).run
    stored = load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").prompts
    assert {c.question_id: output_sha256(c) for c in run.conversations} == {p.id: p.output_sha256 for p in stored}
    assert all(c.acceptance is None for c in run.conversations)
