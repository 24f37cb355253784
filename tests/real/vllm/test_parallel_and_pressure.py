"""What must not change answers on vLLM: two ranks, a cache that is too small, metrics turned off, aborted requests."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from pytest_speedbench import Pair, Speedbench
from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, pool
from pytest_speedbench.baselines import PromptEntry, load_baseline
from pytest_speedbench.baselines.schema import prompt_entries
from pytest_speedbench.config import EngineArg, Sampling
from pytest_speedbench.engines.base import CountsSpeculation, Engine, Request
from pytest_speedbench.engines.registry import engine_factory
from tests.real.vllm.conftest import vllm_pair

BASELINES = Path(__file__).resolve().parents[3] / "baselines"
EAGLE3 = "eagle3:bundled:eagle3"
PROMPTS = 44
SMALL_CACHE: dict[str, EngineArg] = {
    "num_gpu_blocks_override": 28,
    "max_model_len": 768,
    "block_size": 32,
    "max_num_seqs": 32,
}


def stored() -> dict[str, PromptEntry]:
    baseline = load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="")
    return {entry.id: entry for entry in baseline.prompts}


@pytest.mark.parametrize("parallel", ["tensor", "data"])
def test_two_ranks_equal_one(
    speedbench: Speedbench, vllm_python: str, monkeypatch: pytest.MonkeyPatch, parallel: str
) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")  # a core for each rank
    size = f"{parallel}_parallel_size"
    pair = vllm_pair(f"tiny-eagle3-{parallel}-parallel", EAGLE3, vllm_python, **{size: 2})
    run = speedbench.measure("mini", pair=pair, prompts=PROMPTS, concurrency=8).run
    assert run.engine.args[size] == 2
    known = stored()
    assert [entry for entry in prompt_entries(run) if entry != known[entry.id]] == []
    total = pool(record for conversation in run.conversations if (record := conversation.acceptance))
    assert total is not None
    assert isinstance(run.counters, AcceptanceRecord)
    assert run.counters.histogram == total.histogram  # of both ranks


def test_preempted_requests_are_counted_and_their_records_hold(speedbench: Speedbench, vllm_python: str) -> None:
    pair = vllm_pair("tiny-eagle3-small-cache", EAGLE3, vllm_python, **SMALL_CACHE)
    run = speedbench.measure("mini", pair=pair, prompts=PROMPTS, concurrency=32).run
    turns = [turn for conversation in run.conversations for turn in conversation.turns]
    assert sum(turn.preemptions or 0 for turn in turns) > 0
    known = stored()
    for conversation in run.conversations:
        for turn in conversation.turns:
            assert turn.acceptance is not None
            assert turn.acceptance.expected_output_tokens() == len(turn.output_ids)
    assert [e.id for e in prompt_entries(run) if e.output_sha256 != known[e.id].output_sha256] == []


def test_without_metrics_the_counters_stand_in_and_are_labelled(speedbench: Speedbench, vllm_python: str) -> None:
    pair = vllm_pair("tiny-eagle3-counters", EAGLE3, vllm_python, per_request_spec_decode_metrics="none")
    measurement = speedbench.measure("mini", pair=pair, prompts=PROMPTS, concurrency=8)
    figures = measurement.summary.acceptance.overall
    known = stored()
    records = [known[c.question_id].record(AcceptanceSource.ENGINE) for c in measurement.run.conversations]
    total = pool(records)
    assert total is not None
    assert (figures.source, figures.al_macro) == (AcceptanceSource.COUNTERS, None)
    assert (figures.histogram, figures.proposed_tokens) == (total.histogram, total.proposed_tokens)
    assert figures.al_pooled == total.al


def test_an_aborted_request_frees_the_engine_and_is_seen_by_the_counters(vllm_python: str) -> None:
    pair = vllm_pair("tiny-eagle3", EAGLE3, vllm_python)
    counted, finished = asyncio.run(_abort_one_of_two(pair))
    assert counted > finished > 0


async def _abort_one_of_two(pair: Pair) -> tuple[int, int]:
    """Verify steps by the counters, and by the record of the request that was not aborted."""
    engine: Engine = engine_factory("vllm").create(pair)
    try:
        await engine.start()
        async with aclosing(engine.generate(Request("aborted", (5, 6, 7), Sampling(1500, ignore_eos=True)))) as stream:
            for _ in range(20):
                await anext(stream)
        events = [event async for event in engine.generate(Request("whole", (5, 6, 7), Sampling(64)))]
        finish = events[-1]
        assert isinstance(engine, CountsSpeculation)
        counters = await engine.counters()
        assert counters is not None
        record = getattr(finish, "acceptance", None)
        return counters.verify_steps, record.verify_steps if record else 0
    finally:
        await engine.stop()
