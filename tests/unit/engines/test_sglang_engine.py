"""The adapter in SGLang's process, against a package in SGLang's place. Real SGLang: tests/real/sglang."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import (
    CountsSpeculation,
    Emission,
    EngineInfo,
    Finish,
    RanksTokens,
    ReadsBack,
    Request,
)
from pytest_speedbench.errors import EngineError
from tests.unit.engines import sglang_standin
from tests.unit.engines.sglang_standin import STEPS

PROMPT = (5, 6, 7)
EAGLE3 = "eagle3:bundled:eagle3"

Session = Callable[[Any, EngineInfo], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def _in_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sglang_standin.install(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(session: Session, drafter: str | None = EAGLE3, **args: EngineArg) -> Any:
    """Start the adapter, hand it to the session, and stop it."""
    module: Any = importlib.import_module("pytest_speedbench.engines.sglang.engine")
    parsed = Drafter.parse(drafter) if drafter else None

    async def whole() -> Any:
        engine = module.SglangEngine(Pair("p", "sglang", "bundled:target", parsed, {"device": "cpu", **args}))
        try:
            return await session(engine, await engine.start())
        finally:
            inner = engine._llm
            await engine.stop()
            await engine.stop()
            assert inner is None or inner.stopped

    return asyncio.run(whole())


async def ask(engine: Any, prompt: tuple[int, ...] = PROMPT, output_tokens: int = 64) -> list[Emission | Finish]:
    return [item async for item in engine.generate(Request("r1", prompt, Sampling(output_tokens)))]


@pytest.mark.parametrize("together", [1, 2, 3])
def test_every_emission_is_a_step_however_many_arrive_together(monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(sglang_standin.Engine, "together", together)

    async def session(engine: Any, _: EngineInfo) -> list[Emission | Finish]:
        return await ask(engine)

    *emissions, finish = run(session)
    assert [list(emission.token_ids) for emission in emissions] == STEPS
    times = [emission.at_s for emission in emissions]
    assert times == sorted(times)
    assert finish == Finish("stop", AcceptanceRecord(3, (1, 0, 1, 0), 6, 0, 0), preemptions=0)


def test_what_really_runs_is_said() -> None:
    async def session(_: Any, info: EngineInfo) -> EngineInfo:
        return info

    info = run(session)
    assert (info.name, info.version, info.device_count, info.max_concurrency) == ("sglang", "0.5.23", 1, 4)
    assert (info.vocab_size, info.context_tokens, info.eos_token_ids) == (4096, 2048, (3,))
    assert (info.args["speculative_algorithm"], info.args["disable_radix_cache"]) == ("EAGLE3", True)


def test_the_target_alone_has_no_record() -> None:
    async def session(engine: Any, _: EngineInfo) -> list[Emission | Finish]:
        return await ask(engine)

    *_, finish = run(session, None)
    assert finish == Finish("stop", None, preemptions=0)


def test_closing_early_aborts_that_request_and_no_other() -> None:
    async def session(engine: Any, _: EngineInfo) -> None:
        await ask(engine)
        manager = engine._llm.tokenizer_manager
        assert manager.aborted == []
        closed = engine.generate(Request("r", PROMPT, Sampling(64)))
        await anext(closed)
        await closed.aclose()
        assert manager.aborted == [engine._llm.asked[-1]["rid"]]
        assert len({asked["rid"] for asked in engine._llm.asked}) == 2

    run(session)


def test_the_next_tokens_and_the_prompt_as_read() -> None:
    async def session(engine: Any, _: EngineInfo) -> None:
        assert await engine.next_tokens(PROMPT, 1) == ((7, -0.25),)
        assert await engine.prompt_as_read(PROMPT) == PROMPT
        assert await engine.counters() is None
        assert all(isinstance(engine, kind) for kind in (RanksTokens, ReadsBack, CountsSpeculation))

    run(session, None)


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("refuses", "The input is too long", "SGLang refused the request r1: The input is too long"),
        ("end", {"type": "abort", "message": "out of memory"}, "ended the request r1 with 'abort': out of memory"),
        ("end", {"type": "length", "length": 5}, "was cut at 5 of 64 tokens"),
        ("steps", [[11], [12, 13, 14, 15, 16], [2]], "contradicts itself"),
    ],
)
def test_answers_that_cannot_be_trusted(
    monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, words: str
) -> None:
    monkeypatch.setattr(sglang_standin.Engine, attribute, value)
    with pytest.raises(EngineError, match=words):
        run(lambda engine, _: ask(engine))


def test_n_grams_are_forgotten_before_a_repeat() -> None:
    async def session(engine: Any, _: EngineInfo) -> list[int]:
        manager, counts = engine._llm.tokenizer_manager, []
        for prompt in (PROMPT, (8, 9), PROMPT, (8, 9)):
            await ask(engine, prompt)
            counts.append(manager.flushed)
        manager.flushes = False
        with pytest.raises(EngineError, match="does not drop what its n-gram drafter learnt"):
            await ask(engine)
        return counts

    assert run(session, "ngram") == [0, 0, 1, 1]
    assert run(lambda engine, _: ask(engine), EAGLE3)


def test_an_unknown_argument_is_named_with_the_closest() -> None:
    with pytest.raises(EngineError, match=r"SGLang 0.5.23 has no engine argument 'max_running'.*max_running_requests"):
        run(lambda engine, _: ask(engine), max_running=4)


def test_nothing_to_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sglang_standin.install(monkeypatch, accelerator=False)
    with pytest.raises(EngineError, match=r"finds nothing to run on: No accelerator.*device to .cpu."):
        run(lambda engine, _: ask(engine), device=None)


def test_an_id_that_is_no_token_never_reaches_the_scheduler() -> None:
    async def session(engine: Any, info: EngineInfo) -> None:
        with pytest.raises(EngineError, match=f"token id {info.vocab_size}, and the target's vocabulary has"):
            await ask(engine, (5, info.vocab_size))
        assert await ask(engine)

    run(session)
