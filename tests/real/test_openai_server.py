"""A real vLLM server behind the engine for any OpenAI-compatible server: started from a command, then as an endpoint.

Set TEST_VLLM_PYTHON to the interpreter of an environment that has vLLM. It runs on a CPU.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, Counted, pool
from pytest_speedbench.baselines.schema import PromptEntry
from pytest_speedbench.baselines.store import read_baseline
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo, Request
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.openai.engine import OpenAIEngine
from pytest_speedbench.engines.processes import family
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.counters import counted
from pytest_speedbench.measure.driver import measure
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.subset import select
from tests.real.vllm.test_vllm_serve import BASELINE, differing

PYTHON = os.environ.get("TEST_VLLM_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="TEST_VLLM_PYTHON names no interpreter of an environment with vLLM")

KEY = "sk-tests-only"
COMMAND = (
    f"{PYTHON} -m vllm.entrypoints.openai.api_server --host 127.0.0.1 --port {{port}} --model {{model}}"
    " --dtype float32 --enforce-eager --max-num-batched-tokens 16384 --no-enable-prefix-caching"
    f" --per-request-spec-decode-metrics detailed --speculative-config"
    ' \'{"method": "eagle3", "model": "{drafter}", "num_speculative_tokens": {draft_length}}\''
)
PAIR = Pair("tiny-eagle3", "openai", "bundled:target", Drafter.parse("eagle3:bundled:eagle3", 3), command=COMMAND)


@dataclass
class Running:
    """An engine that was started, on an event loop of its own."""

    loop: asyncio.AbstractEventLoop
    engine: OpenAIEngine
    info: EngineInfo

    def ask(self, prompts: int, concurrency: int) -> tuple[Conversation, ...]:
        encoder = TemplateEncoder.load(BUNDLED_FOLDER / "target")
        asked = select(load_split("mini"), prompts=prompts).prompts
        return self.loop.run_until_complete(
            measure(self.engine, self.info, encoder, asked, Sampling(64), Load(concurrency), silence_s=60)
        )


def start(pair: Pair, loop: asyncio.AbstractEventLoop) -> Running:
    engine = engine_factory(pair.engine).create(pair)
    assert isinstance(engine, OpenAIEngine)
    return Running(loop, engine, loop.run_until_complete(engine.start()))


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setenv("VLLM_API_KEY", KEY)
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        session = start(PAIR, loop)
        server = session.engine._server
        assert server is not None
        try:
            yield session
        finally:
            loop.run_until_complete(session.engine.stop())
            loop.close()
    assert family(server.process.pid, server.process._token) == []


@pytest.fixture(scope="module")
def stored() -> dict[str, PromptEntry]:
    return {entry.id: entry for entry in read_baseline(BASELINE, record_command="").prompts}


def test_what_was_found_out(running: Running) -> None:
    info = running.info
    assert info.args == {"route": "/v1/completions", "prompt": "token_ids", "output_ids": "token_ids"}
    assert info.version.startswith("vLLM 0.")
    assert (info.vocab_size, info.context_tokens, info.eos_token_ids) == (4096, 2048, (3,))
    assert KEY not in f"{info} {vars(running.engine)}"


@pytest.mark.parametrize(("concurrency", "prompts"), [(1, 22), (8, 88)])
def test_tokens_and_acceptance_equal_the_stored_ones_prompt_by_prompt(
    running: Running, stored: dict[str, PromptEntry], concurrency: int, prompts: int
) -> None:
    before = running.loop.run_until_complete(running.engine.counters())
    conversations = running.ask(prompts, concurrency)
    after = running.loop.run_until_complete(running.engine.counters())
    assert len(conversations) == prompts
    assert differing(conversations, stored) == []
    check_counters(conversations, counted(before, after, PAIR))


def check_counters(conversations: Sequence[Conversation], by_counters: Counted | None) -> None:
    by_requests = pool(c.acceptance for c in conversations if c.acceptance)
    assert by_requests is not None
    assert isinstance(by_counters, AcceptanceRecord)
    assert (by_counters.histogram, by_counters.proposed_tokens) == (by_requests.histogram, by_requests.proposed_tokens)


def test_the_server_says_which_prompt_it_read(running: Running) -> None:
    ids = (5, 6, 7, 8, 100, 100)
    assert running.loop.run_until_complete(running.engine.prompt_as_read(ids)) == ids


def test_the_same_server_as_an_endpoint(running: Running, stored: dict[str, PromptEntry]) -> None:
    pair = replace(PAIR, command=None, endpoint=running.engine._connected.client.url + "/v1/")  # type: ignore[union-attr]
    there = start(pair, running.loop)
    conversations = there.ask(11, 4)
    running.loop.run_until_complete(there.engine.stop())
    assert differing(conversations, stored) == []
    assert there.info.device.startswith("unknown (behind http://127.0.0.1:")


def test_the_chat_route_of_a_server_with_the_targets_own_template(
    running: Running, stored: dict[str, PromptEntry]
) -> None:
    assert running.engine._connected is not None
    endpoint = running.engine._connected.client.url
    there = start(replace(PAIR, command=None, endpoint=endpoint, engine_args={"route": "chat"}), running.loop)
    assert there.info.templates_prompts
    assert there.info.args["prompt"] == "templated by the server"
    conversations = there.ask(22, 4)
    running.loop.run_until_complete(there.engine.stop())
    assert differing(conversations, stored) == []


def test_a_server_of_another_draft_length(running: Running) -> None:
    assert running.engine._connected is not None
    endpoint = running.engine._connected.client.url
    pair = replace(PAIR, command=None, endpoint=endpoint, drafter=Drafter.parse("eagle3:bundled:eagle3", 5))
    with pytest.raises(EngineError, match="with a draft length of 3, and the pair has a draft length of 5"):
        start(pair, running.loop)


def test_the_wrong_key(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert running.engine._connected is not None
    monkeypatch.setenv("SERVER_KEY", "sk-wrong")
    endpoint = running.engine._connected.client.url
    pair = replace(PAIR, command=None, endpoint=endpoint, engine_args={"api_key_env": "SERVER_KEY"})
    with pytest.raises(EngineError, match=r"does not accept the API key.*SERVER_KEY"):
        start(pair, running.loop)


def test_a_request_that_does_not_fit_is_refused_in_the_servers_words(running: Running) -> None:
    async def ask() -> None:
        async for _ in running.engine.generate(Request("long", (5, 6, 7), Sampling(4000))):
            pass

    with pytest.raises(EngineError, match=r"HTTP 400: .*max_model_len"):
        running.loop.run_until_complete(ask())


def test_a_server_that_does_not_start_says_why(running: Running) -> None:
    pair = replace(PAIR, command=COMMAND + " --max-model-len 1000000")
    with pytest.raises(EngineError, match="did not start, its process ended with exit code 1") as caught:
        start(pair, running.loop)
    assert "max_model_len (1000000) is greater" in caught.value.output
