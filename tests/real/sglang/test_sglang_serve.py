"""SGLang's server, started by us: the same answers as from its process."""

from __future__ import annotations

import asyncio

import pytest

from pytest_speedbench.config import Drafter, Pair, Sampling
from pytest_speedbench.engines import sglang_serve
from pytest_speedbench.engines.base import Request
from pytest_speedbench.engines.sglang_serve.engine import SglangServeEngine
from pytest_speedbench.errors import EngineError
from tests.real.sglang.asking import Answer, ask, ask_all, prompts, sglang_pair, transformers_pair
from tests.real.vllm.leaks import orphanage


@pytest.mark.parametrize("drafter", ["eagle3:bundled:eagle3", "ngram"])
def test_a_drafter_behind_http(sglang_python: str, drafter: str) -> None:
    served = ask_all(sglang_pair(drafter, sglang_python, engine="sglang-serve"))
    known = ask_all(transformers_pair(drafter))
    assert {name: answer.tokens for name, answer in served.items()} == {n: a.tokens for n, a in known.items()}
    for name, answer in served.items():
        assert answer.record.expected_output_tokens() == len(answer.tokens)
        if drafter != "ngram":
            assert (answer.record, answer.emitted) == (known[name].record, known[name].emitted)


def test_the_target_behind_http_and_as_an_endpoint(sglang_python: str) -> None:
    own = sglang_pair(None, sglang_python, engine="sglang-serve")
    server = sglang_serve.create(own)
    assert isinstance(server, SglangServeEngine)
    rag = prompts()["rag"]

    async def session() -> tuple[Answer, Answer]:
        try:
            info = await server.start()
            assert (info.version, info.max_concurrency) == ("0.5.23", 4)
            assert await server.prompt_as_read(rag) == rag
            first = await ask(server, rag)
            closed = server.generate(Request("closed", rag, Sampling(400)))
            await anext(closed)
            await closed.aclose()
            with pytest.raises(EngineError, match="longer than the model's context length"):
                await ask(server, rag * 20)
            assert server._server is not None
            return first, await _ask_the_endpoint(server._server.url)
        finally:
            await server.stop()

    with orphanage() as children:
        first, again = asyncio.run(session())
        assert children.left() == []
    assert first.tokens == again.tokens
    assert first.finish.acceptance is None


async def _ask_the_endpoint(url: str) -> Answer:
    """The same server as somebody else's, which must decode as the pair says."""
    wrong = SglangServeEngine(
        Pair("p", "sglang-serve", "bundled:target", Drafter.parse("eagle3:bundled:eagle3"), endpoint=url)
    )
    with pytest.raises(EngineError, match="decodes without a drafter, and the pair has eagle3:bundled:eagle3"):
        await wrong.start()
    engine = SglangServeEngine(Pair("p", "sglang-serve", "bundled:target", endpoint=url))
    try:
        await engine.start()
        return await ask(engine, prompts()["rag"])
    finally:
        await engine.stop()
