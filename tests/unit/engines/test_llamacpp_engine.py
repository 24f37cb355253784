"""The adapter against a stand-in server: what is sent, what comes back, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, Pair, Sampling
from pytest_speedbench.engines.base import (
    CountsSpeculation,
    Emission,
    EngineInfo,
    Finish,
    Prints,
    RanksTokens,
    ReadsBack,
    Request,
    SpeculationCounters,
)
from pytest_speedbench.engines.llamacpp.description import precision
from pytest_speedbench.engines.llamacpp.engine import LlamaCppEngine
from pytest_speedbench.errors import EngineError
from tests.unit.engines.llamacpp_standin import StandIn, answer, end, event, scrape, serving, token

DRAFT_MODEL = "draft_model:bundled:draft"
PROMPT = (5, 6, 7)
KEY = "sk-very-secret"


def pair(url: str, drafter: str | None = DRAFT_MODEL, draft_length: int = 3) -> Pair:
    parsed = Drafter.parse(drafter, draft_length) if drafter else None
    return Pair("served", "llamacpp", "bundled:target", parsed, endpoint=url)


def request(sampling: Sampling | None = None) -> Request:
    return Request("r1", PROMPT, sampling or Sampling(64))


@asynccontextmanager
async def started(measured: Pair) -> AsyncIterator[tuple[LlamaCppEngine, EngineInfo]]:
    engine = LlamaCppEngine(measured)
    try:
        yield engine, await engine.start()
    finally:
        await engine.stop()


async def ask(standin: StandIn, *, drafter: str | None = DRAFT_MODEL, draft_length: int = 3) -> list[object]:
    """Start at the stand-in, and all that one request gives."""
    async with serving(standin), started(pair(standin.url, drafter, draft_length)) as (engine, _):
        return [item async for item in engine.generate(request())]


def refused(standin: StandIn, words: str, *, drafter: str | None = DRAFT_MODEL, draft_length: int = 3) -> None:
    with pytest.raises(EngineError, match=words):
        asyncio.run(ask(standin, drafter=drafter, draft_length=draft_length))


def test_ids_in_steps_and_acceptance_out() -> None:
    standin = StandIn()
    *emissions, finish = asyncio.run(ask(standin))
    assert [item.token_ids for item in emissions if isinstance(item, Emission)] == [(11,), (12, 13, 14), (3,)]
    times = [item.at_s for item in emissions if isinstance(item, Emission)]
    assert times == sorted(times)
    assert finish == Finish("stop", AcceptanceRecord(3, (1, 0, 1, 0), 6, 0, 0))
    assert standin.asked[0]["prompt"] == list(PROMPT)
    # The server closes a connection after a stream without saying so.
    assert standin.headers[0]["Connection"] == "close"
    assert "Authorization" not in standin.headers[0]


@pytest.mark.parametrize("size", [1, 7, 200, 10_000])
def test_answers_split_or_merged_on_their_way(size: int) -> None:
    body = b": hello\n\n" + b"".join(map(event, answer()))
    standin = StandIn([body[start : start + size] for start in range(0, len(body), size)])
    *emissions, finish = asyncio.run(ask(standin))
    assert [item.token_ids for item in emissions if isinstance(item, Emission)] == [(11,), (12, 13, 14), (3,)]
    assert finish == Finish("stop", AcceptanceRecord(3, (1, 0, 1, 0), 6, 0, 0))


def test_a_step_that_the_end_cut_off() -> None:
    pieces = [*map(event, (token(1, 11), token(2, 12, 3, 3), token(3, 3, 3, 3), end(3)))]
    *emissions, finish = asyncio.run(ask(StandIn(pieces)))
    assert [item.token_ids for item in emissions if isinstance(item, Emission)] == [(11,), (12, 3)]
    assert finish == Finish("stop", AcceptanceRecord(3, (0, 0, 0, 1), 3, 0, 2))


def test_without_counts_with_every_token_there_is_no_record() -> None:
    pieces = [event({name: value for name, value in chunk.items() if name != "timings"}) for chunk in answer()]
    *emissions, finish = asyncio.run(ask(StandIn(pieces)))
    assert len(emissions) == 5
    assert finish == Finish("stop", None)


def test_without_a_drafter_there_is_no_record() -> None:
    pieces = [*map(event, (token(1, 11), token(2, 3), end(2)))]
    *_, finish = asyncio.run(ask(StandIn(pieces, speculative=False), drafter=None))
    assert finish == Finish("stop", None)


@pytest.mark.parametrize(
    ("sampling", "sent"),
    [
        (Sampling(64), {"n_predict": 64, "temperature": 0.0, "top_p": 1.0, "ignore_eos": False}),
        (Sampling(9, 0.7, 0.9, 5, ignore_eos=True), {"n_predict": 9, "temperature": 0.7, "top_p": 0.9, "seed": 5}),
    ],
)
def test_sampling_is_said_in_full(sampling: Sampling, sent: dict[str, object]) -> None:
    async def session() -> StandIn:
        pieces = [*map(event, (*(token(n, n) for n in range(1, 10)), end(9)))]
        async with serving(StandIn(pieces)) as standin, started(pair(standin.url)) as (engine, _):
            assert [item async for item in engine.generate(request(sampling))]
            return standin

    body = asyncio.run(session()).asked[0]
    assert sent.items() <= body.items()
    # Left alone it samples by top-k, min-p and more, and applies the temperature last.
    assert body["samplers"] == ["temperature", "top_p"]
    assert {"cache_prompt": False, "return_tokens": True, "timings_per_token": True, "stream": True}.items() <= (
        body.items()
    )


def test_a_beginning_of_sequence_token_that_the_server_added() -> None:
    refused(StandIn([*map(event, (token(1, 3), end(1, prompt_tokens=4)))]), "a prompt of 4 tokens, and 3 were sent")


def test_tokens_that_end_within_a_character_are_missed() -> None:
    pieces = [*map(event, answer())]
    refused(StandIn([pieces[0], *pieces[3:]]), "Of 4 tokens .* 2 arrived: llama-server keeps back")
    refused(StandIn([*pieces[:4], pieces[5]]), "Of 5 tokens .* 4 arrived: llama-server keeps back")


@pytest.mark.parametrize("kept", [0, 2, 5])
def test_an_answer_that_broke_off(kept: int) -> None:
    refused(StandIn([*map(event, answer()[:kept])]), f"broke off after {kept} tokens")


def test_an_error_in_the_stream() -> None:
    failure = {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}
    refused(StandIn([event(answer()[0]), event(failure)]), r"failed at the request r1: Compute error\.")


def test_a_stream_of_something_else() -> None:
    refused(StandIn([event(["what"])]), r"not in llama\.cpp's format")


@pytest.mark.parametrize(("stop_type", "words"), [("word", "ended with 'word'"), ("limit", "cut at 5 of 64 tokens")])
def test_an_end_that_is_none_of_the_requests(stop_type: str, words: str) -> None:
    refused(StandIn([*map(event, (*answer()[:-1], end(5, stop_type)))]), words)


def test_drafts_longer_than_the_pairs() -> None:
    refused(StandIn(), "impossible verify step", draft_length=2)


def test_another_drafter_is_seen_at_the_start() -> None:
    refused(StandIn(), "decodes with a drafter, and the pair has none", drafter=None)
    refused(StandIn(speculative=False), "decodes without a drafter, and the pair has one")
    used = StandIn(metrics=scrape(9, (5, 4, 3, 2, 1)))
    refused(used, "with a draft length of 5, and the pair has a draft length of 3")
    assert not used.asked


def test_another_model_is_seen_at_the_start() -> None:
    refused(StandIn(n_vocab=32000), "a vocabulary of 32000 tokens, the target 'bundled:target' has one of 4096")


def test_a_server_with_few_pages_is_taken_at_its_word() -> None:
    *_, finish = asyncio.run(ask(StandIn(speculative=None)))
    assert isinstance(finish, Finish)


@pytest.mark.parametrize(
    ("metrics", "counters"),
    [
        (None, None),
        ("llamacpp:prompt_tokens_total 3\n", None),
        (scrape(0), SpeculationCounters(0, 0, None, 0)),
        (scrape(9, (5, 4, 3)), SpeculationCounters(9, 27, (5, 4, 3))),
    ],
)
def test_counters(metrics: str | None, counters: SpeculationCounters | None) -> None:
    async def session() -> SpeculationCounters | None:
        async with serving(StandIn(metrics=metrics)) as standin, started(pair(standin.url)) as (engine, _):
            return await engine.counters()

    assert asyncio.run(session()) == counters


def test_next_tokens() -> None:
    async def rank(_: web.Request) -> web.StreamResponse:
        likely = [{"id": 4, "logprob": -2.0}, {"id": 9, "logprob": -0.5}, {"id": 2, "logprob": -2.0}]
        return web.json_response({"completion_probabilities": [{"id": 9, "top_logprobs": likely}]})

    async def session() -> tuple[tuple[int, float], ...]:
        async with serving(StandIn(respond=rank)) as standin, started(pair(standin.url)) as (engine, _):
            return await engine.next_tokens(PROMPT, 2)

    assert asyncio.run(session()) == ((9, -0.5), (2, -2.0))


@pytest.mark.parametrize(
    ("status", "words"), [(400, "refused a request with HTTP 400: too long"), (500, "failed with HTTP 500: too long")]
)
def test_a_request_that_is_refused(status: int, words: str) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=json.dumps({"error": {"code": status, "message": "too long"}}))

    refused(StandIn(respond=refuse), words)


def test_nobody_listens() -> None:
    async def session() -> None:
        async with serving(StandIn()) as standin:
            url = standin.url
        async with started(pair(url)):
            pass

    with pytest.raises(EngineError, match=r"server at http://127\.0\.0\.1:\d+ does not answer"):
        asyncio.run(session())


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", KEY)

    async def session() -> str:
        async with serving(StandIn()) as standin, started(pair(standin.url)) as (engine, info):
            assert [item async for item in engine.generate(request())]
            assert standin.headers[0]["Authorization"] == f"Bearer {KEY}"
            return f"{info} {engine!r} {vars(engine)!r} {engine._client!r}"

    assert KEY not in asyncio.run(session())


def test_closing_early_hangs_up() -> None:
    async def session() -> None:
        standin = StandIn()
        standin.respond = standin.stream_forever
        async with serving(standin), started(pair(standin.url)) as (engine, _):
            async with aclosing(engine.generate(request())) as items:
                async for item in items:
                    assert isinstance(item, Emission)
                    break
            await asyncio.wait_for(standin.disconnected.wait(), 5)

    asyncio.run(session())


def test_what_a_server_tells_of_itself() -> None:
    async def session() -> tuple[EngineInfo, str]:
        async with serving(StandIn()) as standin, started(pair(standin.url + "/v1/")) as (engine, info):
            assert isinstance(engine, CountsSpeculation)
            assert isinstance(engine, RanksTokens)
            assert isinstance(engine, Prints)
            assert isinstance(engine, ReadsBack)
            assert await engine.prompt_as_read(PROMPT) is None
            return info, standin.url

    info, url = asyncio.run(session())
    assert info == EngineInfo(
        name="llamacpp",
        version="b11434-abcdef0",
        args={"model_ftype": "all F32", "dtype": "float16"},
        device=f"unknown (behind {url})",
        device_count=1,
        driver=None,
        max_concurrency=4,
        vocab_size=4096,
        context_tokens=2047,
        eos_token_ids=(3,),
    )


@pytest.mark.parametrize(
    ("ftype", "exact", "dtype"),
    [
        ("all F32", True, "float32"),
        ("all F32", False, "float16"),
        ("BF16", True, "bfloat16"),
        ("Q4_K - Medium", False, None),
        (None, False, None),
    ],
)
def test_the_precision_is_the_coarsest(ftype: str | None, exact: bool, dtype: str | None) -> None:
    table = {"flash_attn": "off", "cache_type_k": "f32", "cache_type_v": "f32"} if exact else {"flash_attn": "off"}
    assert precision(ftype, table) == dtype


def test_asked_before_it_was_started() -> None:
    async def session() -> None:
        async for _ in LlamaCppEngine(pair("http://localhost:1")).generate(request()):
            pass

    with pytest.raises(EngineError, match="asked before it was started"):
        asyncio.run(session())
