"""One SGLang: what it says, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator

import pytest

from pytest_speedbench.config import EngineArg, Sampling
from pytest_speedbench.engines import sglang
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.worker.client import WorkerEngine
from pytest_speedbench.errors import EngineError
from tests.real.sglang.asking import ask, prompts, sglang_pair
from tests.real.vllm.leaks import Orphanage, orphanage

LONG = 400
_NOTICED_S = 120


async def _asked_of_the_target(engine: WorkerEngine) -> EngineInfo:
    coding, rag = prompts()["coding"], prompts()["rag"]
    info = await engine.start()
    assert await engine.prompt_as_read(rag) == rag
    first = await ask(engine, coding, 1)
    ranked = await engine.next_tokens(coding, 3)
    assert len(ranked) == 3
    assert ranked[0][0] == first.tokens[0]
    assert 0 >= ranked[0][1] >= ranked[1][1] >= ranked[2][1]
    with pytest.raises(EngineError, match=r"SGLang refused the request .*longer than the model's context length"):
        await ask(engine, rag * 20)
    assert await engine.counters() is None
    await _check_cancelling(engine, coding)
    return info


async def _check_cancelling(engine: WorkerEngine, prompt: tuple[int, ...]) -> None:
    """As many as it decodes at once are cancelled; were they still decoded, another one would wait for them."""
    began_s = time.perf_counter()
    await ask(engine, prompt, LONG)
    alone_s = time.perf_counter() - began_s
    requests = [engine.generate(Request(f"c{n}", prompt, Sampling(LONG, ignore_eos=True))) for n in range(4)]
    for generator in requests:
        await anext(generator)
    for generator in requests:
        await generator.aclose()
    began_s = time.perf_counter()
    await ask(engine, prompt, 8)
    assert time.perf_counter() - began_s < alone_s / 2


def test_the_target_alone(sglang_python: str) -> None:
    engine = sglang.create(sglang_pair(None, sglang_python))
    assert isinstance(engine, WorkerEngine)

    async def session() -> EngineInfo:
        try:
            return await _asked_of_the_target(engine)
        finally:
            await engine.stop()

    with orphanage() as children:
        info = asyncio.run(session())
        assert children.left() == []
    assert (info.name, info.version) == ("sglang", "0.5.23")
    assert (info.vocab_size, info.context_tokens, info.eos_token_ids) == (4096, 2048, (3,))
    assert info.max_concurrency == 4
    assert info.args["disable_radix_cache"] is True


def test_a_repeat_is_drafted_as_before(sglang_python: str) -> None:
    """SGLang's n-gram drafter remembers answers: without forgetting, a repeat accepts all of its drafts."""
    engine = sglang.create(sglang_pair("ngram", sglang_python))

    async def session() -> list[tuple[int, ...]]:
        try:
            await engine.start()
            asked = [prompts()["coding"], prompts()["multilingual"], prompts()["coding"]]
            return [(await ask(engine, prompt)).record.histogram for prompt in asked]
        finally:
            await engine.stop()

    first, _, again = asyncio.run(session())
    assert again == first


def test_a_scheduler_that_dies_is_noticed(sglang_python: str) -> None:
    engine = sglang.create(sglang_pair(None, sglang_python))

    async def session(children: Orphanage) -> None:
        try:
            await engine.start()
            request = engine.generate(Request("r", prompts()["coding"], Sampling(1500, ignore_eos=True)))
            await anext(request)
            for scheduler in children.find("sglang::scheduler"):
                os.kill(scheduler.pid, signal.SIGKILL)
            with pytest.raises(EngineError, match=r"The process of the engine sglang .* while it was needed"):
                await asyncio.wait_for(_to_the_end(request), _NOTICED_S)
        finally:
            await engine.stop()

    with orphanage() as children:
        asyncio.run(session(children))
        assert children.left() == []


async def _to_the_end(request: AsyncGenerator[Emission | Finish, None]) -> None:
    async for _ in request:
        pass


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"max_running_request": 4}, r"no engine argument 'max_running_request'.*'max_running_requests'"),
        ({"device": None}, r"SGLang finds nothing to run on.*device to .cpu."),
        ({"mem_fraction_static": 0.0001}, r"does not start: ValueError: .*mem-fraction-static"),
        ({"attention_backend": "none_such"}, r"does not start: .*none_such"),
    ],
)
def test_why_it_does_not_start_is_said(sglang_python: str, args: dict[str, EngineArg], words: str) -> None:
    engine = sglang.create(sglang_pair(None, sglang_python, args))

    async def session() -> None:
        try:
            await engine.start()
        finally:
            await engine.stop()

    with orphanage() as children:
        with pytest.raises(EngineError, match=words):
            asyncio.run(session())
        assert children.left() == []
