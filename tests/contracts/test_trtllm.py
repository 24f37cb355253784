"""The trtllm adapter, the stand-in for TensorRT-LLM and the facts read in its sources agree."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo, Request, SpeculationCounters
from pytest_speedbench.engines.trtllm import counters
from pytest_speedbench.engines.trtllm.versions import TENSORRT_LLM
from pytest_speedbench.errors import EngineError
from tests.contracts.contract import load
from tests.contracts.trtllm_stand_in import HEAD, MEDUSA, PROMPT, StandIn, ask, greedy, ids, pair, run, stand_in

CONTRACT = load("trtllm")
SERVER = ("trtllm-serve", "speculative_config.decoding_type", "POST /v1/completions", "choice of a streamed completion")
ELSEWHERE = {*SERVER, "environment of trtllm-llmapi-launch", "CompletionOutput.finish_reason"}
"""Subjects that are no part of the package that an adapter imports."""


@pytest.fixture(name="there", params=CONTRACT.variants)
def _there(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[StandIn]:
    monkeypatch.setattr(counters, "_QUIET_S", 0.05)
    with stand_in(monkeypatch, request.param) as found:
        yield found


def test_the_facts_are_on_the_versions_that_the_adapter_claims() -> None:
    claimed = [f"{TENSORRT_LLM.oldest[0]}.{n}" for n in range(TENSORRT_LLM.oldest[1], TENSORRT_LLM.newest[1] + 1)]
    assert list(CONTRACT.versions) == claimed


def test_the_stand_in_has_the_names_of_the_facts(there: StandIn) -> None:
    configs, engine, results = there.part("configs"), there.part("engine"), there.part("results")
    statistics, sampling = there.part("statistics"), there.part("sampling")
    names: dict[str, Any] = {
        "LLM": configs.PYTORCH_NAMES,
        "_tensorrt_engine.LLM": configs.TENSORRT_NAMES,
        "LLM.generate_async": list(inspect.signature(engine._Engine.generate_async).parameters)[1:],
        "LLM.get_stats_async": list(inspect.signature(engine._Engine.get_stats_async).parameters)[1:],
        "LLM object": engine.OBJECT_NAMES,
        "LLM.args": engine.ARGS_NAMES,
        "LLM.args.kv_cache_config": engine.CACHE_NAMES,
        "llmapi": [*configs.CLASSES, "llm_args"],
        "llmapi.llm_args": ["TorchLlmArgs", "TrtLlmArgs"],
        "SamplingParams": sampling.NAMES,
        "RequestOutput": results.OUTPUT_NAMES,
        "CompletionOutput": results.COMPLETION_NAMES,
        "CompletionOutput.finish_reason": results.FINISH_REASONS,
        "RequestPerfMetrics": results.METRICS_NAMES,
        "SpeculativeDecodingMetrics": results.SPECULATIVE_NAMES,
        "IterationResult": statistics.RESULT_NAMES,
        "iteration statistics": statistics.ROW_NAMES,
        "specDecodingStats": statistics.SECTION_NAMES,
        **{name: kind.NAMES for name, kind in configs.CLASSES.items()},
    }
    checked = {fact.subject for fact in CONTRACT.of(there.variant)} - set(SERVER) - ELSEWHERE | {
        "CompletionOutput.finish_reason"
    }
    if there.variant == "1.2":
        checked.discard("Eagle3DecodingConfig")  # perhaps it is not there at all
    assert set(names) == checked
    for subject, found in names.items():
        fact = CONTRACT.fact(subject, there.variant)
        assert len(set(found)) == len(found), subject
        if there.variant.endswith("+"):
            assert set(found) == set(fact.names) | fact.perhaps, subject
        else:
            assert set(fact.names) <= set(found) <= set(fact.names) | fact.perhaps, subject


@pytest.mark.parametrize("version", CONTRACT.versions)
def test_the_adapter_uses_the_facts_and_nothing_else(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(counters, "_QUIET_S", 0.05)
    together: defaultdict[str, set[str]] = defaultdict(set)
    for variant in [name for name in CONTRACT.variants if name.removesuffix("+") == version]:
        with stand_in(monkeypatch, variant) as there:
            for measured in every_pair(variant):
                run(there, measured, everything)
            CONTRACT.check_uses(there.uses, variant)
            for subject, names in there.uses.items():
                together[subject] |= names
    CONTRACT.check_idle(together, version, elsewhere=ELSEWHERE)


def every_pair(variant: str) -> list[Pair]:
    found = [
        pair(None),
        pair("draft_model:bundled:draft"),
        pair(),
        pair("mtp"),
        pair("ngram"),
        pair(f"medusa:{MEDUSA}", backend="tensorrt"),
        pair("eagle:bundled:draft", backend="tensorrt"),
    ]
    # The bundled head needs to be told its layers; where EAGLE-3 has a name of its own, Eagle is left for the others.
    return [*found, pair("eagle3:bundled:eagle3")] if variant >= "1.2" else found


async def everything(engine: Any, info: EngineInfo) -> None:
    assert info.name == "trtllm"
    await ask(engine, greedy())
    assert await engine.prompt_as_read(PROMPT) == PROMPT
    abandoned = engine.generate(Request("abandoned", PROMPT, greedy(200)))
    await anext(abandoned)
    await abandoned.aclose()
    await engine.counters()
    engine._eos = (3, 4)
    await ask(engine, greedy(ignore_eos=False))
    if not engine._greedy_only:
        await ask(engine, Sampling(max_output_tokens=4, temperature=1.0, seed=7))


def test_output_and_record_are_the_same_with_and_without_a_drafter(there: StandIn) -> None:
    there.play(accepted=[2, 0, 3, 1])
    alone, _ = run(there, pair(None), lambda engine, _: ask(engine, greedy(20)))
    emissions, finish = run(there, pair("mtp"), lambda engine, _: ask(engine, greedy(20)))
    assert ids(emissions) == ids(alone)
    assert [len(emission.token_ids) for emission in emissions] == [1, 3, 1, 4, 2, 3, 1, 4, 1]
    assert finish.reason == "length"
    assert finish.acceptance == AcceptanceRecord(3, (3, 1, 2, 2), None, None, None, AcceptanceSource.STREAM)


def test_metrics_that_are_filled_make_it_the_engines_own_record(there: StandIn) -> None:
    there.play(accepted=[2, 0, 3, 1], metrics=True)
    _, finish = run(there, pair("mtp"), lambda engine, _: ask(engine, greedy(20)))
    # Eight verify steps of three; the last accepted one token that the limit cut off.
    assert finish.acceptance == AcceptanceRecord(3, (2, 2, 2, 2), 24, 0, 1)
    assert finish.acceptance.expected_output_tokens() == 20


def test_steps_without_a_draft_are_no_verify_steps(there: StandIn) -> None:
    there.play(accepted=[None, 2, None, None, 0], metrics=True, counts_cut=False)
    _, finish = run(there, pair("ngram"), lambda engine, _: ask(engine, greedy(15)))
    assert finish.acceptance is not None
    assert (finish.acceptance.histogram, finish.acceptance.undrafted_steps) == ((2, 0, 2, 0), 6)


def test_iterations_that_arrive_together_give_no_record(there: StandIn) -> None:
    emissions, finish = run(there, pair("mtp", stream_interval=3), lambda engine, _: ask(engine, greedy(20)))
    assert (len(ids(emissions)), finish.acceptance) == (20, None)


def test_iteration_statistics_are_pooled(there: StandIn) -> None:
    there.play(accepted=[2, None, 3])

    async def asked(engine: Any, _: EngineInfo) -> SpeculationCounters | None:
        for _request in range(3):
            await ask(engine, greedy(14))
        found: SpeculationCounters | None = await engine.counters()
        return found

    counted = run(there, pair("ngram"), asked)
    # 1, 3, 1, 4, 3, 1, 1: four verify steps in each request, of 2 + 3 + 2 + 3 accepted tokens.
    assert counted == SpeculationCounters(12, None, None, accepted_in_all=30)
    assert run(there, pair("ngram", enable_iter_perf_stats=False), asked) is None
    of_mtp = run(there, pair("mtp"), asked)
    assert (of_mtp is None) == (there.variant < "1.2")


@pytest.mark.parametrize("which", [0, 1])
def test_every_end_token_stays_in_the_output(there: StandIn, which: int) -> None:
    there.play(length=6, ends_with=which)

    async def asked(engine: Any, _: EngineInfo) -> Any:
        engine._eos = (3, 4)
        return await ask(engine, greedy(20, ignore_eos=False))

    emissions, finish = run(there, pair("mtp"), asked)
    assert finish.reason == "stop"
    assert ids(emissions)[-1] == (3, 4)[which]
    assert len(ids(emissions)) == 6


def test_a_request_that_nobody_reads_on_is_aborted(there: StandIn) -> None:
    async def asked(engine: Any, _: EngineInfo) -> None:
        abandoned = engine.generate(Request("abandoned", PROMPT, greedy(200)))
        await anext(abandoned)
        await abandoned.aclose()
        await ask(engine, greedy(4))

    run(there, pair(None), asked)
    engine = there.started[-1]
    assert [request.was_aborted for request in engine.requests] == [True, False]
    assert engine.is_shut_down


def test_a_request_that_ends_otherwise_is_an_error(there: StandIn) -> None:
    there.play(finish="cancelled")
    with pytest.raises(EngineError, match="TensorRT-LLM ended the request r with 'cancelled'"):
        run(there, pair(None), lambda engine, _: ask(engine, greedy()))


def test_a_prompt_that_does_not_fit_is_refused(there: StandIn) -> None:
    with pytest.raises(EngineError, match="has the token id 4096, and the target's vocabulary has 4096 tokens"):
        run(there, pair(None), lambda engine, _: ask(engine, greedy(), (5, 4096)))

    async def asked(prompt: tuple[int, ...], engine: Any, _: EngineInfo) -> None:
        await ask(engine, greedy(), prompt)

    for prompt in ((), PROMPT * 4):
        with pytest.raises(
            EngineError, match=rf"has a prompt of {len(prompt)} tokens, and TensorRT-LLM takes 1 to 15\."
        ):
            run(there, pair(None, max_seq_len=16), partial(asked, prompt))


def test_sampling_is_refused_where_it_is_not_done_as_asked(there: StandIn) -> None:
    sampling = Sampling(max_output_tokens=4, temperature=0.8)

    async def asked(engine: Any, _: EngineInfo) -> int:
        emissions, _finish = await ask(engine, sampling)
        return len(ids(emissions))

    two_models = pair(speculative_config={"eagle3_one_model": False})
    newest = there.variant >= "1.2"
    samples = {pair(): there.variant == "1.2+", two_models: newest, pair(None): newest}
    for measured, possible in samples.items():
        if possible:
            assert run(there, measured, asked) == 4
        else:
            with pytest.raises(EngineError, match="does not sample this pair at the temperature that it is asked for"):
                run(there, measured, asked)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"max_batch_sise": 4}, "has no engine argument 'max_batch_sise'. Did you mean 'max_batch_size'"),
        (
            {"speculative_config": {"eagle3_one_modle": True}},
            "no engine argument 'speculative_config.eagle3_one_modle'",
        ),
    ],
)
def test_an_argument_that_it_does_not_know_is_named_with_the_closest(
    there: StandIn, args: dict[str, Any], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        run(there, pair(f"eagle3:{HEAD}", **args), lambda engine, _: ask(engine, greedy()))


def test_what_it_was_started_with_is_in_the_info(there: StandIn) -> None:
    async def asked(_engine: Any, info: EngineInfo) -> EngineInfo:
        return info

    info = run(there, pair("ngram", max_batch_size=8, tensor_parallel_size=2), asked)
    assert (info.version, info.device, info.driver, info.device_count) == (
        f"{there.variant.removesuffix('+')}.0",
        "A GPU",
        "CUDA 13.0",
        2,
    )
    assert (info.max_concurrency, info.context_tokens > 0, len(info.eos_token_ids)) == (8, True, 1)
    assert info.args["kv_cache_config"] == {"enable_block_reuse": False, "free_gpu_memory_fraction": None}
    assert info.args["disable_overlap_scheduler"] is True
    assert "model" not in info.args
