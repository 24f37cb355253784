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
    RanksTokens,
    Request,
    SpeculationCounters,
)
from pytest_speedbench.engines.vllm_serve.engine import VllmServeEngine
from pytest_speedbench.errors import EngineError
from tests.unit.engines.test_vllm_serve_prometheus import scrape
from tests.unit.engines.vllm_serve_standin import MODEL, SPECULATION, StandIn, answer, chunk, event, serving, usage

PROMPT = (5, 6, 7)
KEY = "sk-very-secret"


def pair(url: str, drafter: str | None = "eagle3:bundled:eagle3", draft_length: int = 3) -> Pair:
    parsed = Drafter.parse(drafter, draft_length) if drafter else None
    return Pair("served", "vllm-serve", "bundled:target", parsed, endpoint=url)


def request(sampling: Sampling | None = None) -> Request:
    return Request("r1", PROMPT, sampling or Sampling(64))


@asynccontextmanager
async def started(measured: Pair) -> AsyncIterator[tuple[VllmServeEngine, EngineInfo]]:
    engine = VllmServeEngine(measured)
    try:
        yield engine, await engine.start()
    finally:
        await engine.stop()


async def ask(
    standin: StandIn, *, drafter: str | None = "eagle3:bundled:eagle3", draft_length: int = 3
) -> list[object]:
    """Start at the stand-in, and all that one request gives."""
    async with serving(standin), started(pair(standin.url, drafter, draft_length)) as (engine, _):
        return [item async for item in engine.generate(request())]


def refused(
    standin: StandIn, words: str, *, drafter: str | None = "eagle3:bundled:eagle3", draft_length: int = 3
) -> None:
    with pytest.raises(EngineError, match=words):
        asyncio.run(ask(standin, drafter=drafter, draft_length=draft_length))


def test_ids_in_ids_and_acceptance_out() -> None:
    standin = StandIn()
    *emissions, finish = asyncio.run(ask(standin))
    assert all(isinstance(item, Emission) for item in emissions)
    assert [item.token_ids for item in emissions if isinstance(item, Emission)] == [(11,), (12, 13, 14), (2,)]
    times = [item.at_s for item in emissions if isinstance(item, Emission)]
    assert times == sorted(times)
    assert len(set(times)) == 3
    assert finish == Finish("stop", AcceptanceRecord(3, (1, 0, 1, 0), 6, 0, 0))
    assert standin.asked[0]["prompt"] == list(PROMPT)
    assert standin.asked[0]["model"] == MODEL
    assert standin.authorizations == [None]


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_answers_split_anywhere_on_their_way(size: int) -> None:
    body = b": hello\n\n" + b"".join(answer())
    standin = StandIn([body[start : start + size] for start in range(0, len(body), size)])
    *emissions, finish = asyncio.run(ask(standin))
    assert [item.token_ids for item in emissions if isinstance(item, Emission)] == [(11,), (12, 13, 14), (2,)]
    assert isinstance(finish, Finish)


def test_chunks_that_arrive_together_stay_apart() -> None:
    *emissions, finish = asyncio.run(ask(StandIn([b"".join(answer())])))
    assert len(emissions) == 3
    assert isinstance(finish, Finish)
    assert finish.acceptance == AcceptanceRecord(3, (1, 0, 1, 0), 6, 0, 0)


def test_chunks_that_the_server_merged_leave_unknown_what_they_hide() -> None:
    payloads = (chunk(11, 12, 13, 14), chunk(2, finish_reason="stop"), usage(3, 5, SPECULATION))
    *_, finish = asyncio.run(ask(StandIn([*map(event, payloads), event("[DONE]")])))
    assert finish == Finish("stop", AcceptanceRecord(3, (1, 0, 1, 0), 6, None, None))


def test_without_metrics_there_is_no_record() -> None:
    *_, finish = asyncio.run(ask(StandIn(answer(speculation=None))))
    assert finish == Finish("stop", None)


@pytest.mark.parametrize(
    ("sampling", "sent"),
    [
        (Sampling(64), {"max_tokens": 64, "temperature": 0.0, "top_p": 1.0, "ignore_eos": False}),
        (Sampling(9, 0.7, 0.9, 5, ignore_eos=True), {"max_tokens": 9, "temperature": 0.7, "top_p": 0.9, "seed": 5}),
    ],
)
def test_sampling_is_said_in_full(sampling: Sampling, sent: dict[str, object]) -> None:
    async def session() -> StandIn:
        reply = [*map(event, (chunk(*range(5), finish_reason="stop"), usage(3, 5))), event("[DONE]")]
        async with serving(StandIn(reply)) as standin, started(pair(standin.url)) as (engine, _):
            assert [item async for item in engine.generate(request(sampling))]
            return standin

    body = asyncio.run(session()).asked[0]
    assert sent.items() <= body.items()
    # Left out, they would be what the model's generation_config.json says.
    assert {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}.items() <= body.items()
    assert body["return_token_ids"] is True
    assert ("seed" in body) is not sampling.greedy


def test_a_beginning_of_sequence_token_that_the_server_added() -> None:
    refused(StandIn(answer(prompt_tokens=4)), "a prompt of 4 tokens, and 3 were sent")


def test_a_chunk_that_was_lost() -> None:
    pieces = answer()
    del pieces[1]
    refused(StandIn(pieces), "has 5 tokens by its own count, and 2 arrived")


@pytest.mark.parametrize("kept", [0, 2, 3, 4])
def test_an_answer_that_broke_off(kept: int) -> None:
    refused(StandIn(answer()[:kept]), "broke off")


def test_a_server_that_knows_no_token_ids() -> None:
    refused(StandIn([event({"choices": [{"text": "Hello"}]})]), "has no token ids")


def test_an_error_in_the_stream() -> None:
    failure = {"error": {"message": "EngineCore died", "type": "InternalServerError", "code": 500}}
    refused(StandIn([*answer()[:2], event(failure), event("[DONE]")]), "failed at the request r1: EngineCore died")


def test_a_stream_of_something_else() -> None:
    refused(StandIn([event("<html>")]), "not in a completion's format")


@pytest.mark.parametrize(("reason", "words"), [("abort", "ended with 'abort'"), ("length", "cut at 5 of 64 tokens")])
def test_an_end_that_is_none_of_the_requests(reason: str, words: str) -> None:
    pieces = [*map(event, (chunk(*range(5), finish_reason=reason), usage(3, 5))), event("[DONE]")]
    refused(StandIn(pieces), words)


def test_another_draft_length_than_the_pairs() -> None:
    refused(StandIn(), "with a draft length of 3, and the pair has a draft length of 5", draft_length=5)
    refused(StandIn(), "with a draft length of 3, and the pair has no drafter", drafter=None)


def test_another_draft_length_is_seen_at_the_start_in_the_counters() -> None:
    standin = StandIn([], metrics=scrape((0, 0, (0, 0, 0, 0, 0))))
    refused(standin, "with a draft length of 5, and the pair has a draft length of 3")
    assert not standin.asked


def test_a_server_that_does_not_speculate() -> None:
    silent = f'vllm:num_requests_running{{engine="0",model_name="{MODEL}"}} 0.0\n'
    refused(StandIn(metrics=silent), "decodes without a drafter, and the pair has a draft length of 3")
    *_, finish = asyncio.run(ask(StandIn(answer(speculation=None), metrics=silent), drafter=None))
    assert finish == Finish("stop", None)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, '{"error": {"message": "max_tokens is too large", "code": 400}}', "HTTP 400: max_tokens is too large"),
        (404, '{"object": "error", "message": "no such model", "code": 404}', "HTTP 404: no such model"),
        (422, "plain words", "HTTP 422: plain words"),
        (503, "", r"failed with HTTP 503: \(nothing\)"),
        (302, "", "HTTP 302"),
    ],
)
def test_a_request_that_is_refused(status: int, body: str, words: str) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers={"Location": "/version"})

    refused(StandIn(respond=refuse), words)


def test_a_connection_that_breaks() -> None:
    async def hang_up(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        await response.write(answer()[0])
        assert asked.transport is not None
        asked.transport.close()
        return response

    refused(StandIn(respond=hang_up), "does not answer|broke off")


def test_nobody_listens() -> None:
    async def session() -> None:
        async with serving(StandIn()) as standin:
            url = standin.url
        async with started(pair(url)):
            pass

    with pytest.raises(EngineError, match=r"server at http://127\.0\.0\.1:\d+ does not answer"):
        asyncio.run(session())


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=401, text='{"error": "Unauthorized"}')

    standin = StandIn(respond=refuse)
    with pytest.raises(EngineError, match="does not accept the API key") as caught:
        asyncio.run(ask(standin))
    assert standin.authorizations == [f"Bearer {KEY}"]
    chain: BaseException | None = caught.value
    while chain is not None:
        assert KEY not in f"{chain!r} {chain}"
        chain = chain.__cause__ or chain.__context__

    async def shown() -> str:
        async with serving(StandIn()) as other, started(pair(other.url)) as (engine, info):
            return f"{info} {engine!r} {vars(engine)!r} {engine._client!r}"

    assert KEY not in asyncio.run(shown())


def test_closing_early_hangs_up() -> None:
    async def session() -> None:
        standin = StandIn()
        standin.respond = standin.stream_forever
        async with serving(standin), started(pair(standin.url)) as (engine, _):
            async with aclosing(engine.generate(request())) as items:
                async for item in items:
                    assert item == Emission((7,), item.at_s if isinstance(item, Emission) else 0.0)
                    break
            await asyncio.wait_for(standin.disconnected.wait(), 5)

    asyncio.run(session())


def test_more_requests_at_once_than_connections_by_default() -> None:
    crowd = 150

    async def session() -> list[list[Emission | Finish]]:
        standin = StandIn()
        everybody = asyncio.Event()

        async def wait_for_all(asked: web.Request) -> web.StreamResponse:
            if len(standin.asked) == crowd:
                everybody.set()
            await everybody.wait()
            return await standin.stream(asked, answer())

        standin.respond = wait_for_all

        async def one(engine: VllmServeEngine) -> list[Emission | Finish]:
            return [item async for item in engine.generate(request())]

        async with serving(standin), started(pair(standin.url)) as (engine, _):
            return await asyncio.wait_for(asyncio.gather(*(one(engine) for _ in range(crowd))), 60)

    answers = asyncio.run(session())
    assert all(len(items) == 4 for items in answers)


def test_what_a_server_tells_of_itself() -> None:
    async def session() -> tuple[EngineInfo, str]:
        async with serving(StandIn()) as standin, started(pair(standin.url + "/v1/")) as (engine, info):
            assert isinstance(engine, CountsSpeculation)
            assert isinstance(engine, RanksTokens)
            assert await engine.counters() is None
            return info, standin.url

    info, url = asyncio.run(session())
    assert info == EngineInfo(
        name="vllm-serve",
        version="0.32.0",
        args={},
        device=f"unknown (behind {url})",
        device_count=1,
        driver=None,
        max_concurrency=None,
        vocab_size=4096,
        context_tokens=2048,
        eos_token_ids=(3,),
    )


def test_what_a_server_with_development_pages_tells() -> None:
    config = {
        "model_config": {"dtype": "torch.bfloat16", "max_model_len": 2048},
        "cache_config": {"enable_prefix_caching": True},
        "scheduler_config": {"max_num_seqs": 64, "enable_chunked_prefill": True},
        "parallel_config": {"tensor_parallel_size": 2, "world_size": 2, "data_parallel_size": 2},
        "observability_config": {},
        "device_config": {"device": "cuda"},
        "speculative_config": {"method": "eagle3"},
    }
    system = {
        "nvidia_gpu_models": "GPU 0: NVIDIA H100 80GB HBM3\nGPU 1: NVIDIA H100 80GB HBM3",
        "cuda_compiled_version": "13.0",
    }

    async def session() -> EngineInfo:
        standin = StandIn(server_info={"vllm_config": config, "system_env": system})
        async with serving(standin), started(pair(standin.url)) as (_, info):
            return info

    info = asyncio.run(session())
    assert (info.device, info.device_count, info.driver) == ("NVIDIA H100 80GB HBM3", 4, "CUDA 13.0")
    assert info.max_concurrency == 128
    expected = {"max_num_seqs": 64, "enable_prefix_caching": True, "enable_chunked_prefill": True, "dtype": "bfloat16"}
    assert expected.items() <= info.args.items()


def test_counters_come_from_the_metrics_page() -> None:
    async def session() -> SpeculationCounters | None:
        standin = StandIn(metrics=scrape((10, 30, (8, 5, 2)), (1, 3, (1, 1, 1))))
        async with serving(standin), started(pair(standin.url)) as (engine, _):
            return await engine.counters()

    assert asyncio.run(session()) == SpeculationCounters(11, 33, (9, 6, 3))


def test_the_most_probable_next_tokens() -> None:
    async def rank(_: web.Request) -> web.StreamResponse:
        top = {"token_id:9": -2.5, "token_id:40": -0.25, "token_id:3": -2.5, "token_id:8": -7.0}
        return web.Response(text=json.dumps({"choices": [{"logprobs": {"top_logprobs": [top]}}]}))

    async def session() -> tuple[tuple[int, float], ...]:
        standin = StandIn(respond=rank)
        async with serving(standin), started(pair(standin.url)) as (engine, _):
            ranked = await engine.next_tokens(PROMPT, 3)
            assert standin.asked[0]["logprobs"] == 3
            return ranked

    assert asyncio.run(session()) == ((40, -0.25), (3, -2.5), (9, -2.5))


def test_margins_are_those_of_the_outputs_own_tokens() -> None:
    def entry(**logprobs: float) -> dict[str, object]:
        return {token[1:]: {"logprob": value, "rank": 1, "decoded_token": "x"} for token, value in logprobs.items()}

    read = [None, *[entry(_5=-0.5, _6=-1.0)] * (len(PROMPT) - 1), entry(_40=-0.25, _3=-1.5), entry(_7=-3, _8=-1, _9=-2)]
    answers = {(40, 7, 9): (1.25, -2.0, 0.5), (40, 7, 5): None}

    async def session(output: tuple[int, ...]) -> tuple[float, ...] | None:
        async def respond(_: web.Request) -> web.StreamResponse:
            choice = {"logprobs": {"top_logprobs": [{"token_id:9": -0.5, "token_id:3": -1.0}]}, "prompt_logprobs": read}
            return web.Response(text=json.dumps({"choices": [choice]}))

        standin = StandIn(respond=respond)
        async with serving(standin), started(pair(standin.url)) as (engine, _):
            margins = await engine.margins_nats(PROMPT, output)
            asked = standin.asked[0]
            assert (asked["prompt"], asked["prompt_logprobs"]) == ([*PROMPT, 40, 7], 2)
            return margins

    for output, expected in answers.items():
        assert asyncio.run(session(output)) == expected


def test_a_server_without_log_probabilities_of_the_prompt_says_so() -> None:
    async def respond(_: web.Request) -> web.StreamResponse:
        choice = {"logprobs": {"top_logprobs": [{"token_id:9": -0.5, "token_id:3": -1.0}]}}
        return web.Response(text=json.dumps({"choices": [choice]}))

    async def session() -> None:
        async with serving(StandIn(respond=respond)) as standin, started(pair(standin.url)) as (engine, _):
            await engine.margins_nats(PROMPT, (40, 9))

    with pytest.raises(EngineError, match=r"log-probabilities cannot be read: .*prompt_logprobs"):
        asyncio.run(session())


def test_the_model_is_found_among_several() -> None:
    cards: list[dict[str, object]] = [
        {"id": name, "root": f"/models/{name}", "max_model_len": 4096} for name in ("a", "b")
    ]
    refused(StandIn(models=cards), "does not serve 'bundled:target'; its models: a, b")
    adapted: list[dict[str, object]] = [
        {"id": MODEL, "max_model_len": 2048},
        {"id": "lora", "parent": MODEL, "max_model_len": None},
    ]
    standin = StandIn(models=adapted)
    asyncio.run(ask(standin))
    assert standin.asked[0]["model"] == MODEL


def test_before_its_start_and_after_its_stop() -> None:
    async def session() -> None:
        async with serving(StandIn()) as standin:
            engine = VllmServeEngine(pair(standin.url))
            await engine.stop()
            await engine.start()
            await engine.stop()
            await engine.stop()
            await engine.counters()

    with pytest.raises(EngineError, match="before it was started"):
        asyncio.run(session())
