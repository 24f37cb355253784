"""SGLang's server adapter against a stand-in server, and how a server of ours is started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, Pair, Sampling
from pytest_speedbench.engines import sglang_serve
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, RanksTokens, ReadsBack, Request
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.sglang_serve.engine import SglangServeEngine
from pytest_speedbench.engines.sglang_serve.launch import check_switches, flags, start_server
from pytest_speedbench.errors import EngineError

MODEL = "org/model"
PROMPT = (5, 6, 7)
KEY = "sk-very-secret"
STOP = {"type": "stop", "matched": 2}
SPECULATION = {
    "spec_num_correct_drafts": 2,
    "spec_num_proposed_drafts": 6,
    "spec_verify_ct": 2,
    "spec_correct_drafts_histogram": [1, 0, 1],
}
INFO: dict[str, Any] = {
    "version": "0.5.23",
    "device": "cuda",
    "dtype": "bfloat16",
    "tp_size": 2,
    "dp_size": 1,
    "pp_size": 1,
    "speculative_algorithm": "EAGLE3",
    "speculative_num_steps": 3,
    "speculative_eagle_topk": 1,
    "speculative_num_draft_tokens": 4,
    "internal_states": [{"effective_max_running_requests_per_dp": 48}],
}


def chunk(total: int, *output_ids: int, finish_reason: object = None, **meta: object) -> bytes:
    """An event: these ids, with so many tokens by now."""
    said = {"id": "x", "prompt_tokens": 3, "completion_tokens": total, "num_retractions": 0}
    payload = {"output_ids": output_ids, "meta_info": {**said, "finish_reason": finish_reason, **meta}}
    return f"data: {json.dumps(payload)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
INCREMENTAL = [chunk(1, 11), chunk(4, 12, 13, 14), chunk(5, 2, finish_reason=STOP, **SPECULATION), DONE]
CUMULATIVE = [
    chunk(1, 11),
    chunk(4, 11, 12, 13, 14),
    chunk(5, 11, 12, 13, 14, 2, finish_reason=STOP, **SPECULATION),
    DONE,
]


@dataclass
class StandIn:
    """What the server answers, and what it was asked. ``forever`` streams until the client goes away."""

    pieces: Sequence[bytes] = tuple(INCREMENTAL)
    info: dict[str, Any] | None = field(default_factory=lambda: dict(INFO))
    forever: bool = False
    answer: object = None
    status: int = 200
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.authorizations.append(request.headers.get("Authorization"))
        if not body.get("stream") or self.status != 200:
            return web.json_response(self.answer, status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
            await asyncio.sleep(0.001)
        try:
            while self.forever:
                await response.write(chunk(1, 11))
                await asyncio.sleep(0.001)
        except (ConnectionError, asyncio.CancelledError):
            self.disconnected.set()
            raise
        return response

    async def page(self, request: web.Request) -> web.StreamResponse:
        models = {"data": [{"id": MODEL, "root": MODEL, "parent": None, "max_model_len": 2048}]}
        pages = {"/v1/models": models, "/server_info": self.info}
        body = pages.get(request.path)
        return web.json_response(body) if body is not None else web.Response(status=404)


@asynccontextmanager
async def serving(standin: StandIn) -> AsyncIterator[StandIn]:
    app = web.Application()
    app.add_routes([web.post("/generate", standin.generate), web.get("/{page:.*}", standin.page)])
    async with TestServer(app) as server:
        standin.url = str(server.make_url("")).rstrip("/")
        yield standin


def pair(url: str, drafter: str | None = "eagle3:bundled:eagle3", draft_length: int = 3, **others: object) -> Pair:
    parsed = Drafter.parse(drafter, draft_length) if drafter else None
    return Pair("served", "sglang-serve", "bundled:target", parsed, endpoint=url, **others)  # type: ignore[arg-type]


@asynccontextmanager
async def started(
    standin: StandIn, drafter: str | None = "eagle3:bundled:eagle3", draft_length: int = 3
) -> AsyncIterator[tuple[SglangServeEngine, EngineInfo]]:
    async with serving(standin):
        engine = SglangServeEngine(pair(standin.url, drafter, draft_length))
        try:
            yield engine, await engine.start()
        finally:
            await engine.stop()


async def ask(
    standin: StandIn, drafter: str | None = "eagle3:bundled:eagle3", sampling: Sampling | None = None
) -> list[object]:
    async with started(standin, drafter) as (engine, _):
        return [item async for item in engine.generate(Request("r1", PROMPT, sampling or Sampling(64)))]


@pytest.mark.parametrize("pieces", [INCREMENTAL, CUMULATIVE, [b"".join(INCREMENTAL)]])
def test_ids_in_ids_and_acceptance_out(pieces: list[bytes]) -> None:
    standin = StandIn(pieces)
    *emissions, finish = asyncio.run(ask(standin))
    assert [item.token_ids for item in emissions if isinstance(item, Emission)] == [(11,), (12, 13, 14), (2,)]
    assert finish == Finish("stop", AcceptanceRecord(3, (1, 0, 1, 0), 6, 0, 0), preemptions=0)
    assert standin.asked[0]["input_ids"] == list(PROMPT)


def test_without_metrics_there_is_no_record() -> None:
    pieces = [chunk(2, 11, 2, finish_reason=STOP), DONE]
    *_, finish = asyncio.run(ask(StandIn(pieces)))
    assert finish == Finish("stop", None, preemptions=0)


def test_sampling_is_said_in_full() -> None:
    standin = StandIn()
    asyncio.run(ask(standin, sampling=Sampling(9, 0.7, 0.9, 5, ignore_eos=True)))
    sent = standin.asked[0]["sampling_params"]
    assert (sent["max_new_tokens"], sent["temperature"], sent["top_p"], sent["sampling_seed"]) == (9, 0.7, 0.9, 5)
    assert (sent["top_k"], sent["min_p"], sent["ignore_eos"]) == (-1, 0.0, True)


def test_what_really_runs_is_said() -> None:
    async def session() -> EngineInfo:
        async with started(StandIn()) as (_, info):
            return info

    info = asyncio.run(session())
    assert (info.name, info.version, info.device_count, info.max_concurrency) == ("sglang-serve", "0.5.23", 2, 48)
    assert (info.vocab_size, info.context_tokens, info.eos_token_ids) == (4096, 2048, (3,))
    assert info.args["speculative_num_steps"] == 3


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([chunk(1, 11)], "The answer to the request r1 broke off"),
        ([b'data: {"error": {"message": "too long"}}\n\n', DONE], "refused the request r1: too long"),
        ([b"data: <html>\n\n"], "is not in SGLang's format"),
        ([b"data: {}\n\n"], "SGLang's answer cannot be read"),
        ([chunk(3, 11)], "brings 1 token ids where its own count says 3"),
        ([chunk(1, 2, finish_reason=STOP, prompt_tokens=4)], "is to a prompt of 4 tokens, and 3 were sent"),
        ([chunk(1, 11, finish_reason={"type": "length", "length": 1})], "was cut at 1 of 64 tokens"),
        ([chunk(1, 2, finish_reason={"type": "abort", "message": "no memory"})], "ended the request r1.*no memory"),
        ([chunk(9, *range(9), finish_reason=STOP, **SPECULATION)], "contradicts itself"),
    ],
)
def test_answers_that_cannot_be_trusted(pieces: list[bytes], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        asyncio.run(ask(StandIn(pieces)))


@pytest.mark.parametrize(
    ("said", "drafter", "draft_length", "words"),
    [
        ({"speculative_algorithm": None}, "ngram", 3, "decodes without a drafter, and the pair has ngram"),
        ({}, None, 3, "decodes with EAGLE3, and the pair has no drafter"),
        ({}, "ngram", 3, "drafts with EAGLE3, and the pair has the drafter ngram"),
        ({}, "eagle3:bundled:eagle3", 5, "with a draft length of 3, and the pair has a draft length of 5"),
    ],
)
def test_a_server_that_drafts_otherwise(
    said: dict[str, Any], drafter: str | None, draft_length: int, words: str
) -> None:
    async def session() -> None:
        async with started(StandIn(info={**INFO, **said}), drafter, draft_length):
            pass

    with pytest.raises(EngineError, match=words):
        asyncio.run(session())


def test_nextn_is_eagle_to_sglang() -> None:
    async def session() -> None:
        async with started(StandIn(info={**INFO, "speculative_algorithm": "EAGLE"}), "mtp"):
            pass

    asyncio.run(session())


@pytest.mark.parametrize(
    ("info", "words"), [(None, "has no /server_info"), ({"version": "1"}, "cannot be read: it has no device")]
)
def test_another_kind_of_server(info: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        asyncio.run(ask(StandIn(info=info)))


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGLANG_API_KEY", KEY)
    standin = StandIn()
    asyncio.run(ask(standin))
    assert standin.authorizations == [f"Bearer {KEY}"]
    with pytest.raises(EngineError, match="SGLANG_API_KEY") as caught:
        asyncio.run(ask(StandIn(status=401, answer={})))
    assert KEY not in str(caught.value)


def test_closing_early_disconnects() -> None:
    async def session() -> None:
        standin = StandIn([], forever=True)
        async with started(standin) as (engine, _):
            async with aclosing(engine.generate(Request("r", PROMPT, Sampling(64)))) as items:
                await anext(items)
            await asyncio.wait_for(standin.disconnected.wait(), 5)

    asyncio.run(session())


def test_the_next_tokens_and_the_prompt_as_read() -> None:
    meta = {
        "output_top_logprobs": [[[-1.5, 8, None], [-0.25, 7, None]]],
        "input_token_logprobs": [[None, 5, None], [-1.0, 6, None], [-2.0, 7, None]],
    }

    async def session() -> tuple[object, object]:
        standin = StandIn(answer={"output_ids": [7], "meta_info": meta})
        async with started(standin) as (engine, _):
            assert isinstance(engine, RanksTokens)
            assert isinstance(engine, ReadsBack)
            return await engine.next_tokens(PROMPT, 2), await engine.prompt_as_read(PROMPT)

    assert asyncio.run(session()) == (((7, -0.25), (8, -1.5)), PROMPT)


def test_an_endpoint_needs_no_sglang_here() -> None:
    assert engine_factory("sglang-serve") is sglang_serve
    sglang_serve.check(pair("http://localhost:30000"))
    with pytest.raises(EngineError, match=r"engine arguments \(tp_size\) for a server that is running"):
        sglang_serve.check(pair("http://localhost:30000", engine_args={"tp_size": 2}))


def test_arguments_become_flags() -> None:
    arguments = {
        "model_path": "/m",
        "tp_size": 2,
        "disable_radix_cache": True,
        "enable_mixed_chunk": False,
        "quantization": None,
        "cuda_graph_bs": [1, 2],
        "json_model_override_args": {"a": 1},
    }
    expected = "--model-path /m --tp-size 2 --disable-radix-cache --cuda-graph-bs 1 2 --json-model-override-args"
    assert flags(arguments) == [*expected.split(), '{"a": 1}']


def test_a_switch_that_stays_on_is_noticed() -> None:
    check_switches({"enable_mixed_chunk": False}, {"enable_mixed_chunk": False})
    with pytest.raises(EngineError, match="has enable_mixed_chunk on, and its command line cannot turn it off"):
        check_switches({"enable_mixed_chunk": False}, {"enable_mixed_chunk": True})


def test_what_the_adapter_sets_is_not_the_users() -> None:
    with pytest.raises(EngineError, match="The engine argument port is set by the sglang-serve engine"):
        start_server(None, {"port": 1})
    with pytest.raises(EngineError, match="The interpreter '/no/such/python' does not run"):
        start_server("/no/such/python", {})
