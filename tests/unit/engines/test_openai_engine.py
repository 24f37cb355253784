"""The adapter against a mock of every kind of server: how it asks, what comes back, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from types import MappingProxyType

import pytest
from aiohttp import web

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import (
    CountsSpeculation,
    Emission,
    EngineInfo,
    Finish,
    ReadsBack,
    Request,
    SpeculationCounters,
)
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.http.served import ServedModel
from pytest_speedbench.engines.openai.engine import OpenAIEngine
from pytest_speedbench.engines.served_fit import check_model
from pytest_speedbench.errors import EngineError, SpeedbenchWarning
from tests.mock_server import END, TOKENIZER, MockServer, event, scripted, serving, stream
from tests.unit.engines.test_vllm_serve_prometheus import scrape

PROMPT = TOKENIZER.encode("Count to six:").ids
KEY = "sk-very-secret"
TARGET = open_checkpoint("bundled:target", download=True)
STEPS = scripted()
HISTOGRAM = (2, 0, 1, 1)
"""Of the scripted answer: 2, 0, 3 and 0 accepted."""


def pair(
    url: str,
    drafter: str | None = "eagle3:bundled:eagle3",
    draft_length: int = 3,
    args: Mapping[str, EngineArg] = MappingProxyType({}),
) -> Pair:
    parsed = Drafter.parse(drafter, draft_length) if drafter else None
    return Pair("mocked", "openai", "bundled:target", parsed, args, endpoint=url)


def request(sampling: Sampling | None = None) -> Request:
    return Request("r1", PROMPT, sampling or Sampling(64), (("system", "Be brief."), ("user", "Count to six:")))


@asynccontextmanager
async def started(measured: Pair) -> AsyncIterator[tuple[OpenAIEngine, EngineInfo]]:
    engine = OpenAIEngine(measured)
    try:
        yield engine, await engine.start()
    finally:
        await engine.stop()


async def ask(
    server: MockServer,
    sampling: Sampling | None = None,
    drafter: str | None = "eagle3:bundled:eagle3",
    **args: EngineArg,
) -> tuple[EngineInfo, list[tuple[int, ...]], Finish]:
    """Start at the server, and all that one request gives."""
    if server.manner == "trtllm":
        args = {"context_tokens": 2048, **args}
    async with serving(server), started(pair(server.url, drafter, args=args)) as (engine, info):
        items = [item async for item in engine.generate(request(sampling))]
    *emissions, finish = items
    assert isinstance(finish, Finish)
    assert all(isinstance(item, Emission) for item in emissions)
    times = [item.at_s for item in emissions if isinstance(item, Emission)]
    assert times == sorted(times)
    return info, [item.token_ids for item in emissions if isinstance(item, Emission)], finish


def refused(server: MockServer, words: str, **args: EngineArg) -> EngineError:
    with pytest.raises(EngineError, match=words) as caught:
        asyncio.run(ask(server, **args))  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("manner", "prompt", "output_ids", "probes"),
    [
        ("vllm", "token_ids", "token_ids", 1),
        ("sglang", "token_ids", "token_ids", 1),
        ("trtllm", "token_ids", "token_ids", 2),
        ("named", "token_ids", "logprobs", 3),
        ("llamacpp", "token_ids", "retokenized", 4),
        ("strict", "token_ids", "retokenized", 5),
        ("text", "text", "retokenized", 6),
    ],
)
def test_every_kind_of_server_gives_the_same_ids(manner: str, prompt: str, output_ids: str, probes: int) -> None:
    server = MockServer(manner)
    info, emissions, finish = asyncio.run(ask(server))
    assert tuple(token for ids in emissions for token in ids) == server.tokens
    assert finish.reason == "stop"
    assert info.args == {"route": "/v1/completions", "prompt": prompt, "output_ids": output_ids}
    assert not info.templates_prompts
    assert len(server.asked) == probes + 1
    assert server.asked[-1]["prompt"] == (list(PROMPT) if prompt == "token_ids" else "Count to six:")
    if manner == "llamacpp":
        assert len(emissions) == len(server.tokens)
    elif output_ids == "retokenized":
        assert len(emissions) == len(STEPS), "each token at the time of the piece that brought it"
    else:
        assert tuple(emissions) == STEPS


CHAT = {"route": "/v1/chat/completions", "prompt": "templated by the server"}


def test_a_server_that_takes_nothing_but_conversations() -> None:
    server = MockServer("chat")
    info, emissions, _ = asyncio.run(ask(server))
    assert info.templates_prompts
    assert tuple(token for ids in emissions for token in ids) == server.tokens
    assert info.args == {**CHAT, "output_ids": "retokenized"}
    assert server.asked[-1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Count to six:"},
    ]
    refused(MockServer("chat"), "has no /v1/completions", route="completions")


def test_the_chat_route_on_demand() -> None:
    server = MockServer()
    info, emissions, finish = asyncio.run(ask(server, route="chat"))
    assert info.templates_prompts
    assert tuple(emissions) == STEPS
    assert info.args == {**CHAT, "output_ids": "token_ids"}
    assert finish.acceptance == AcceptanceRecord(3, HISTOGRAM, 12, 0, 0)


def test_a_prompt_that_is_no_conversation() -> None:
    async def session() -> None:
        async with serving(MockServer("chat")) as server, started(pair(server.url)) as (engine, _):
            assert await engine.prompt_as_read(PROMPT) is None
            async for _item in engine.generate(Request("r1", PROMPT, Sampling(64))):
                pass

    with pytest.raises(EngineError, match="takes conversations only, and the prompt of the request r1 is none"):
        asyncio.run(session())


def test_the_limit_is_reached() -> None:
    for manner in ("vllm", "strict"):
        _, emissions, finish = asyncio.run(ask(MockServer(manner), Sampling(6)))
        assert sum(map(len, emissions)) == 6
        assert finish == Finish("length", None)


@pytest.mark.parametrize(
    ("manner", "record"),
    [
        ("vllm", AcceptanceRecord(3, HISTOGRAM, 12, 0, 0)),
        ("sglang", AcceptanceRecord(3, HISTOGRAM, 12, None, None)),
        ("trtllm", AcceptanceRecord(3, HISTOGRAM, None, None, None, AcceptanceSource.STREAM)),
        ("llamacpp", AcceptanceRecord(3, HISTOGRAM, 12, 0, 0)),
        ("named", None),
        ("strict", None),
    ],
)
def test_what_is_said_of_drafting(manner: str, record: AcceptanceRecord | None) -> None:
    *_, finish = asyncio.run(ask(MockServer(manner)))
    assert finish == Finish("stop", record)
    if record is not None:
        *_, silent = asyncio.run(ask(MockServer(manner, reports=False)))
        assert silent == Finish("stop", None), "absent, not zero"
        if manner != "vllm":
            *_, alone = asyncio.run(ask(MockServer(manner, reports=False), drafter=None))
            assert alone == Finish("stop", None)


def test_an_sglang_server_tells_its_arguments() -> None:
    told = {"speculative_algorithm": "EAGLE3", "speculative_num_draft_tokens": 4, "speculative_num_steps": 3}
    pages = {"/server_info": json.dumps({**told, "speculative_eagle_topk": 1, "version": "0.5.23"})}
    info, _, finish = asyncio.run(ask(MockServer("sglang", pages=pages)))
    assert info.version == "SGLang 0.5.23"
    assert finish.acceptance == AcceptanceRecord(3, HISTOGRAM, 12, 0, 0)


def test_another_draft_length_than_the_pairs() -> None:
    words = "with a draft length of 3, and the pair has"
    for drafter in ("ngram", None):

        async def session(drafter: str | None = drafter) -> None:
            async with serving(MockServer()) as server, started(pair(server.url, drafter, 5)) as (engine, _):
                async for _item in engine.generate(request()):
                    pass

        with pytest.raises(EngineError, match=words):
            asyncio.run(session())


def test_counters_of_all_ranks_and_another_draft_length_in_them() -> None:
    async def session(draft_length: int) -> SpeculationCounters | None:
        text = scrape((10, 30, (8, 5, 2)), (1, 3, (1, 1, 1)))
        server = MockServer(pages={"/metrics": text})
        async with serving(server), started(pair(server.url, draft_length=draft_length)) as (engine, _):
            assert isinstance(engine, CountsSpeculation)
            return await engine.counters()

    assert asyncio.run(session(3)) == SpeculationCounters(11, 33, (9, 6, 3))
    with pytest.raises(EngineError, match="with a draft length of 3, and the pair has a draft length of 4"):
        asyncio.run(session(4))


@pytest.mark.parametrize("body", [None, "[]", "<html></html>", "# TYPE a counter\na_total 3\n"])
def test_other_pages_of_metrics_hold_no_counters(body: str | None) -> None:
    async def session() -> SpeculationCounters | None:
        pages = {} if body is None else {"/metrics": body}
        async with serving(MockServer(pages=pages)) as server, started(pair(server.url)) as (engine, _):
            return await engine.counters()

    assert asyncio.run(session()) is None


def test_the_prompt_as_the_server_read_it() -> None:
    async def session(manner: str) -> tuple[int, ...] | None:
        async with serving(MockServer(manner)) as server, started(pair(server.url)) as (engine, _):
            assert isinstance(engine, ReadsBack)
            return await engine.prompt_as_read(PROMPT)

    assert asyncio.run(session("vllm")) == PROMPT
    assert asyncio.run(session("strict")) is None
    assert asyncio.run(session("text")) is None


def test_sampling_is_said_as_far_as_the_server_listens() -> None:
    sampling = Sampling(64, 0.7, 0.9, 5, ignore_eos=True)
    for manner, all_tokens in (("vllm", -1), ("trtllm", 0)):
        server = MockServer(manner)
        asyncio.run(ask(server, sampling))
        said = {"temperature": 0.7, "top_p": 0.9, "seed": 5, "ignore_eos": True, "top_k": all_tokens, "min_p": 0.0}
        assert said.items() <= server.asked[-1].items()
    with pytest.raises(EngineError, match="cannot be told to go on"):
        asyncio.run(ask(MockServer("strict"), sampling))
    server = MockServer()
    asyncio.run(ask(server, extra_body={"priority": 3}))
    assert [body["priority"] for body in server.asked] == [3, 3]
    assert "seed" not in server.asked[-1]


def test_a_server_that_ignores_token_ids() -> None:
    error = refused(MockServer("deaf"), "is not known as token ids: .* is to a prompt of")
    assert "127.0.0.1" in error.problem


def test_outputs_that_are_not_tokenized_as_they_were_decoded() -> None:
    letters = tuple(TOKENIZER.encode(letter).ids[0] for letter in "one")
    assert len(TOKENIZER.encode("one").ids) < 3, "the test needs letters that merge"
    server = MockServer("strict", steps=(letters[:1], letters[1:], (END,)))
    with pytest.warns(SpeedbenchWarning, match="not as many tokens as the server counted"):
        asyncio.run(ask(server))


def test_only_an_end() -> None:
    _, emissions, finish = asyncio.run(ask(MockServer("strict", steps=((END,),))))
    assert emissions == [(END,)]
    assert finish.reason == "stop"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, '{"error": {"message": "max_tokens is too large"}}', "HTTP 400: max_tokens is too large"),
        (404, '{"detail": "Not Found"}', "HTTP 404: Not Found"),
        (422, '{"error": "prompt: invalid"}', "HTTP 422: prompt: invalid"),
        (502, "<html><head><title>502 Bad\nGateway</title></head></html>", "HTTP 502: .an HTML page: 502 Bad Gateway"),
        (503, "", r"failed with HTTP 503: \(nothing\)"),
        (302, "", "HTTP 302"),
        (200, "<html><title>Welcome</title></html>", "streams no events .*an HTML page: Welcome"),
    ],
)
def test_a_request_that_is_refused(status: int, body: str, words: str) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        kind = "text/html" if "<" in body else "application/json"
        return web.Response(status=status, text=body, content_type=kind, headers={"Location": "/version"})

    refused(MockServer(respond=refuse, probes=1), words)


def test_a_route_that_is_not_there() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "Not Found"}, status=404)

    refused(MockServer(respond=refuse), "has no /v1/completions for the model 'org/model'.*HTTP 404")


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_answers_split_anywhere_on_their_way(size: int) -> None:
    server = MockServer(probes=1)

    async def in_pieces(asked: web.Request) -> web.StreamResponse:
        body = b": hello\n\n" + b"".join(map(event, server.payloads(server.asked[-1]))) + event("[DONE]")
        return await stream(asked, [body[start : start + size] for start in range(0, len(body), size)])

    server.respond = in_pieces
    _, emissions, finish = asyncio.run(ask(server))
    assert tuple(emissions) == STEPS
    assert finish.acceptance is not None


def test_a_server_that_dies_under_way() -> None:
    server = MockServer(probes=1)

    async def hang_up(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked)
        await response.write(event(next(server.payloads(server.asked[-1]))))
        assert asked.transport is not None
        asked.transport.close()
        return response

    server.respond = hang_up
    refused(server, "does not answer|broke off after 1 tokens")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"error": {"message": "EngineCore died"}}, "failed at the request r1: EngineCore died"),
        ({"choices": [{"text": "", "token_ids": [1], "finish_reason": "abort"}]}, "ended with 'abort'"),
        ({"choices": [{"text": "no ids"}]}, "has no token ids"),
        ("<html>", "not in a completion's format"),
    ],
)
def test_events_that_are_none_of_an_answer(payload: object, words: str) -> None:
    async def answer(asked: web.Request) -> web.StreamResponse:
        return await stream(asked, [event(payload), event("[DONE]")])

    refused(MockServer(respond=answer, probes=1), words)


def test_an_event_that_is_no_utf_8() -> None:
    async def answer(asked: web.Request) -> web.StreamResponse:
        return await stream(asked, [b'data: {"choices": [{"text": "\xff"}]}\n\n', event("[DONE]")])

    refused(MockServer(respond=answer, probes=1), "not in a completion's format")


def test_nobody_listens() -> None:
    async def session() -> None:
        async with serving(MockServer()) as server:
            url = server.url
        async with started(pair(url)):
            pass

    with pytest.raises(EngineError, match=r"server at http://127\.0\.0\.1:\d+ does not answer"):
        asyncio.run(session())


def test_the_wrong_model() -> None:
    refused(MockServer("llamacpp", card={"meta": {"n_vocab": 32000, "n_ctx": 2048}}), "vocabulary of 32000 tokens")
    refused(MockServer(card={"max_model_len": None}), "does not say how long.*context_tokens")


@pytest.mark.parametrize(
    ("name", "origin", "fits"),
    [
        ("meta/Llama-8B", None, True),
        ("llama-8b", "/models/llama-8b", True),
        ("served-name", "/somewhere", True),
        ("Qwen/Qwen3", None, False),
        ("chat", "Qwen/Qwen3", False),
    ],
)
def test_names_of_models(name: str, origin: str | None, fits: bool) -> None:
    model = ServedModel(name, 2048, None, origin)
    if fits:
        check_model(model, TARGET, "meta/Llama-8B", "http://host")
    else:
        with pytest.raises(EngineError, match=f"serves {name!r}, and the pair's model is 'meta/Llama-8B'"):
            check_model(model, TARGET, "meta/Llama-8B", "http://host")


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=401, text='{"error": "Unauthorized"}')

    server = MockServer(respond=refuse)
    error: BaseException | None = refused(server, "does not accept the API key.*SERVER_KEY", api_key_env="SERVER_KEY")
    assert server.authorizations == [f"Bearer {KEY}"]
    while error is not None:
        assert KEY not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__

    async def shown() -> str:
        other = MockServer()
        async with serving(other), started(pair(other.url, args={"api_key_env": "SERVER_KEY"})) as (engine, info):
            return f"{info} {engine!r} {vars(engine)!r} {engine._client!r}"

    assert KEY not in asyncio.run(shown())


def test_closing_early_hangs_up() -> None:
    disconnected = asyncio.Event()
    server = MockServer(probes=1)

    async def forever(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked)
        try:
            while True:
                await response.write(event({"choices": [{"text": "", "token_ids": [7]}]}))
                await asyncio.sleep(0.001)
        except (ConnectionError, asyncio.CancelledError):
            disconnected.set()
            raise

    async def session() -> None:
        server.respond = forever
        async with serving(server), started(pair(server.url)) as (engine, _):
            async with aclosing(engine.generate(request())) as items:
                async for item in items:
                    assert isinstance(item, Emission)
                    break
            await asyncio.wait_for(disconnected.wait(), 5)

    asyncio.run(session())


def test_before_its_start_and_after_its_stop() -> None:
    async def session() -> None:
        async with serving(MockServer()) as server:
            engine = OpenAIEngine(pair(server.url))
            await engine.stop()
            await engine.start()
            await engine.stop()
            await engine.stop()
            await engine.counters()

    with pytest.raises(EngineError, match="before it was started"):
        asyncio.run(session())
