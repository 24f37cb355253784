"""vLLM's own server on the bundled tiny family: started once, asked through HTTP, compared with the stored baseline.

Set TEST_VLLM_PYTHON to the interpreter of an environment that has vLLM. It runs on a CPU.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.baselines.schema import PromptEntry, output_sha256
from pytest_speedbench.baselines.store import read_baseline
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Request
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.http.own_server import OwnServer
from pytest_speedbench.engines.processes import family
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.vllm_serve.engine import VllmServeEngine
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.counters import counted
from pytest_speedbench.measure.driver import measure
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.schema import Prompt
from pytest_speedbench.splits.subset import select
from tests.real.vllm.conftest import ENGINE_ARGS

PYTHON = os.environ.get("TEST_VLLM_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="TEST_VLLM_PYTHON names no interpreter of an environment with vLLM")

BASELINE = Path(__file__).resolve().parents[3] / "baselines" / "tiny-eagle3" / "mini.json"
PAIR = Pair(
    "tiny-eagle3",
    "vllm-serve",
    "bundled:target",
    Drafter.parse("eagle3:bundled:eagle3", 3),
    ENGINE_ARGS,
    python=PYTHON,
)
LONG = Request("long", (5, 6, 7, 8, 9, 10, 100), Sampling(1500, ignore_eos=True))
_Result = TypeVar("_Result")


@dataclass
class Running:
    """An engine that was started, on an event loop of its own."""

    loop: asyncio.AbstractEventLoop
    engine: VllmServeEngine
    info: EngineInfo

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.loop.run_until_complete(work)

    @property
    def server(self) -> OwnServer:
        assert self.engine._server is not None
        return self.engine._server

    def ask(self, prompts: Sequence[Prompt], concurrency: int) -> tuple[Conversation, ...]:
        encoder = TemplateEncoder.load(BUNDLED_FOLDER / "target")
        return self.run(
            measure(self.engine, self.info, encoder, prompts, Sampling(64), Load(concurrency), silence_s=60)
        )

    def metric(self, name: str) -> float:
        assert self.engine._client is not None
        text = self.run(self.engine._client.get("/metrics")).decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{"))


def start(pair: Pair, loop: asyncio.AbstractEventLoop) -> Running:
    engine = engine_factory(pair.engine).create(pair)
    assert isinstance(engine, VllmServeEngine)
    return Running(loop, engine, loop.run_until_complete(engine.start()))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_API_KEY", "sk-tests-only")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def running(loop: asyncio.AbstractEventLoop) -> Iterator[Running]:
    session = start(PAIR, loop)
    try:
        yield session
    finally:
        session.run(session.engine.stop())


@pytest.fixture(scope="module")
def stored() -> dict[str, PromptEntry]:
    return {entry.id: entry for entry in read_baseline(BASELINE, record_command="").prompts}


def differing(conversations: Sequence[Conversation], stored: dict[str, PromptEntry]) -> list[str]:
    """Ids whose tokens, verify steps or drafts are not the stored ones.

    A busy server sends several steps in one chunk; what only the chunks tell is then unknown, but never wrong.
    """
    return [c.question_id for c in conversations if not _equal(c, stored[c.question_id])]


def _equal(conversation: Conversation, entry: PromptEntry) -> bool:
    record = conversation.acceptance
    assert record is not None
    return (
        output_sha256(conversation) == entry.output_sha256
        and (record.histogram, record.proposed_tokens) == (entry.histogram, entry.proposed_tokens)
        and record.undrafted_steps in (None, entry.undrafted_steps)
        and record.discarded_tokens in (None, entry.discarded_tokens)
    )


def test_what_runs(running: Running) -> None:
    info = running.info
    assert info.name == "vllm-serve"
    assert info.device == cpu_name()
    assert (info.vocab_size, info.context_tokens, info.eos_token_ids) == (4096, 2048, (3,))
    assert info.max_concurrency == info.args["max_num_seqs"]
    assert {"dtype": "float32", "enable_prefix_caching": False, "enable_chunked_prefill": True}.items() <= (
        info.args.items()
    )
    assert "sk-tests-only" not in f"{info} {vars(running.engine)} {running.engine.output()}"


@pytest.mark.parametrize(("concurrency", "prompts"), [(1, 44), (8, 176)])
def test_tokens_and_acceptance_equal_the_stored_ones_prompt_by_prompt(
    running: Running, stored: dict[str, PromptEntry], concurrency: int, prompts: int
) -> None:
    asked = select(load_split("mini"), prompts=prompts).prompts
    conversations = running.ask(asked, concurrency)
    assert len(conversations) == prompts
    assert differing(conversations, stored) == []
    known = [c for c in conversations if c.acceptance and c.acceptance.undrafted_steps is not None]
    assert len(known) > prompts / 2


def test_the_same_server_as_an_endpoint_gives_the_same(
    running: Running, stored: dict[str, PromptEntry], loop: asyncio.AbstractEventLoop
) -> None:
    pair = replace(PAIR, endpoint=running.server.url + "/v1", engine_args={}, python=None)
    there = start(pair, loop)
    asked = select(load_split("mini"), prompts=22).prompts
    before = there.run(there.engine.counters())
    conversations = there.ask(asked, 8)
    after = there.run(there.engine.counters())
    there.run(there.engine.stop())
    assert differing(conversations, stored) == []
    assert (there.info.device, there.info.max_concurrency) == (cpu_name(), running.info.max_concurrency)

    by_counters, by_requests = counted(before, after, pair), pool(c.acceptance for c in conversations if c.acceptance)
    assert isinstance(by_counters, AcceptanceRecord)
    assert by_requests is not None
    assert (by_counters.histogram, by_counters.proposed_tokens) == (by_requests.histogram, by_requests.proposed_tokens)
    assert running.server.process.exit_code is None, "an endpoint is not ours to stop"


def test_a_server_of_another_draft_length(running: Running, loop: asyncio.AbstractEventLoop) -> None:
    drafter = Drafter.parse("eagle3:bundled:eagle3", 5)
    with pytest.raises(EngineError, match="with a draft length of 3, and the pair has a draft length of 5"):
        start(replace(PAIR, endpoint=running.server.url, engine_args={}, python=None, drafter=drafter), loop)


def test_the_wrong_key(running: Running, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-wrong")
    with pytest.raises(EngineError, match="does not accept the API key"):
        start(replace(PAIR, endpoint=running.server.url, engine_args={}, python=None), loop)


def test_next_tokens(running: Running) -> None:
    ranked = running.run(running.engine.next_tokens(LONG.prompt_ids, 5))
    assert len(ranked) == 5
    assert [logprob for _, logprob in ranked] == sorted((logprob for _, logprob in ranked), reverse=True)

    async def first() -> tuple[int, ...]:
        async with aclosing(running.engine.generate(replace(LONG, sampling=Sampling(1)))) as items:
            async for item in items:
                assert isinstance(item, Emission)
                return item.token_ids
        return ()

    assert running.run(first()) == (ranked[0][0],)


def test_a_request_that_does_not_fit_is_refused_in_the_servers_words(running: Running) -> None:
    async def ask() -> None:
        async for _ in running.engine.generate(replace(LONG, sampling=Sampling(4000))):
            pass

    with pytest.raises(EngineError, match=r"HTTP 400: .*max_model_len"):
        running.run(ask())


def test_closing_early_aborts_on_the_server(running: Running) -> None:
    before = running.metric("vllm:generation_tokens_total")

    async def begin() -> None:
        async with aclosing(running.engine.generate(LONG)) as items:
            async for item in items:
                assert isinstance(item, Emission)
                break

    running.run(begin())
    deadline = time.monotonic() + 5
    while (busy := running.metric("vllm:num_requests_running")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert busy == 0
    assert running.metric("vllm:generation_tokens_total") - before < LONG.sampling.max_output_tokens / 2


def test_a_server_whose_engine_dies_says_so_and_leaves_no_process(running: Running) -> None:
    process = running.server.process
    members = family(process.pid, process._token)
    cores = [pid for pid in members if "EngineCore" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")]
    assert len(cores) == 1

    async def ask() -> None:
        async for _ in running.engine.generate(LONG):
            os.kill(cores[0], signal.SIGKILL)

    with pytest.raises(EngineError) as caught:
        running.run(asyncio.wait_for(ask(), 30))
    assert "EngineCore" in caught.value.output
    running.run(running.engine.stop())
    assert family(process.pid, process._token) == []


def test_a_start_that_fails_says_why(loop: asyncio.AbstractEventLoop) -> None:
    began = time.monotonic()
    with pytest.raises(EngineError, match="did not start, its process ended with exit code 1") as caught:
        start(replace(PAIR, engine_args={**PAIR.engine_args, "max_model_len": 1_000_000}), loop)
    assert "max_model_len (1000000) is greater" in caught.value.output
    assert time.monotonic() - began < 60
