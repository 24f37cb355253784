"""The adapter over SGLang's HTTP server: one of ours, or one that is running already."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

import msgspec

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.http.behind import BehindHttp
from pytest_speedbench.engines.http.client import ServerClient, ServerDownError, error_message
from pytest_speedbench.engines.http.endpoint import root_url
from pytest_speedbench.engines.http.served import name_to_ask, served_model, vocabulary_size
from pytest_speedbench.engines.lossy import refuse_arguments
from pytest_speedbench.engines.requests import check_vocabulary
from pytest_speedbench.engines.served_fit import check_model
from pytest_speedbench.engines.sglang.answers import (
    StreamedAnswer,
    question,
    read_prompt,
    read_ranking,
    sampling_params,
)
from pytest_speedbench.engines.sglang.arguments import engine_arguments
from pytest_speedbench.engines.sglang.checks import check_drafter
from pytest_speedbench.engines.sglang.lossy import SETTINGS
from pytest_speedbench.engines.sglang.record import DraftShape
from pytest_speedbench.engines.sglang.repeats import Repeats
from pytest_speedbench.engines.sglang.resolved import concurrency, devices_used, resolved_arguments
from pytest_speedbench.engines.sglang_serve.description import served_shape, server_info
from pytest_speedbench.engines.sglang_serve.endpoint import KEY_VARIABLE, endpoint_key
from pytest_speedbench.engines.sglang_serve.launch import check_switches, start_server
from pytest_speedbench.errors import EngineError

_GENERATE = "/generate"
_FORGET = "/flush_cache?timeout=10"
_DONE = b"[DONE]"


class SglangServeEngine(BehindHttp):
    """SGLang behind HTTP. A server of ours is started and stopped; one at ``pair.endpoint`` is only asked.

    Times are taken when the bytes arrive at this process.

    Args:
        pair: what to serve, or what is served.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._shape: DraftShape | None = None
        self._vocab_size = 0
        self._repeats: Repeats | None = None

    async def start(self) -> EngineInfo:
        """Start the server, or find the one that is running, and see that it speculates as the pair says.

        Raises:
            EngineError: it does not start, does not answer, or serves something else.
        """
        try:
            if self._pair.endpoint is not None:
                url = root_url(self._pair.endpoint, KEY_VARIABLE)
                return await self._connect(url, endpoint_key(), self._pair.model, {})
            arguments = engine_arguments(self._pair)
            check_drafter(self._pair)  # a hub id was perhaps fetched only now
            self._server = start_server(self._pair.python, arguments)
            return await self._connect(self._server.url, None, self._server.model or self._pair.model, arguments)
        except BaseException:
            await self.stop()
            raise

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Have one request decoded: an emission for every chunk that arrives.

        Raises:
            EngineError: the server refused the request, broke down, or answered something else.
        """
        client = self._started()
        check_vocabulary(request, self._vocab_size)  # SGLang's scheduler would end over it
        answer = StreamedAnswer(request, self._shape)
        body = {
            "input_ids": list(request.prompt_ids),
            "sampling_params": sampling_params(request.sampling),
            "stream": True,
        }
        try:
            async with AsyncExitStack() as stack:
                if self._repeats is not None:
                    await stack.enter_async_context(self._repeats.asking(request.prompt_ids))
                events = await stack.enter_async_context(aclosing(client.events(_GENERATE, body)))
                async for data, at_s in events:
                    if data != _DONE and (tokens := answer.read(_chunk(data, request.request_id))):
                        yield Emission(tokens, at_s)
            finish = _finish(answer, request.request_id)
        except ServerDownError as failure:
            raise await self._explained(failure) from failure
        yield finish

    async def counters(self) -> SpeculationCounters | None:
        """``None``: SGLang counts per request, and its average over all is of one rank and reset with its cache."""
        return None

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The most probable next tokens with their log-probabilities.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        return read_ranking(await self._ask(prompt_ids, top_logprobs_num=count), count)

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...]:
        """The prompt as SGLang's scheduler gives it back with its log-probabilities.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        return read_prompt(await self._ask(prompt_ids, logprob_start_len=0))

    def _started(self) -> ServerClient:
        if self._client is None:
            raise EngineError("The sglang-serve engine was asked before it was started.", "Start it first.")
        return self._client

    async def _ask(self, prompt_ids: tuple[int, ...], **logprobs: Any) -> Mapping[str, Any]:
        body = await self._started().post(_GENERATE, question(prompt_ids, **logprobs))
        return _chunk(body, "for log-probabilities")

    async def _forget(self) -> None:
        await self._started().post(_FORGET, {})

    async def _connect(self, url: str, key: str | None, wanted: str, arguments: Mapping[str, Any]) -> EngineInfo:
        client = self._client = ServerClient(url, key, kind="SGLang", key_variable=KEY_VARIABLE)
        if self._server is not None:
            await self._server.wait_until_ready(client)
        model = await served_model(client, wanted, name_to_ask(self._pair))
        info = await server_info(client)
        check_switches(arguments, info)
        refuse_arguments("The SGLang server", SETTINGS, info)
        self._shape = served_shape(info, self._pair.drafter)
        if self._server is not None and info["speculative_algorithm"] == "NGRAM":
            self._repeats = Repeats(self._forget)
            await self._forget()  # the server has warmed itself up
        checkpoint = open_checkpoint(self._pair.model, download=True)
        if self._pair.server is not None:
            check_model(model, checkpoint, self._pair.model, url)
        context_tokens = model.context_tokens or info.get("context_length")
        if context_tokens is None:
            raise EngineError(
                "The server does not say how long a sequence may be.",
                "Check that the endpoint is an SGLang server of a supported version.",
            )
        on_cpu = info["device"] == "cpu"
        self._vocab_size = vocabulary_size(checkpoint)
        return EngineInfo(
            name="sglang-serve",
            version=str(info["version"]),
            args=cast("Mapping[str, EngineArg]", resolved_arguments(info, arguments)),
            device=self._device(on_cpu),
            device_count=1 if on_cpu else devices_used(info),
            driver=None,
            max_concurrency=concurrency(info.get("internal_states") or ()),
            vocab_size=self._vocab_size,
            context_tokens=int(context_tokens),
            eos_token_ids=checkpoint.end_token_ids,
        )

    def _device(self, on_cpu: bool) -> str:
        if on_cpu and self._server is not None:
            return cpu_name()
        where = self._pair.endpoint and f"behind {root_url(self._pair.endpoint, KEY_VARIABLE)}"
        return f"unknown ({where or 'the server does not say'})"


def _finish(answer: StreamedAnswer, request: str) -> Finish:
    if not answer.finished:
        raise ServerDownError(f"The answer to the request {request} broke off.", "The server's own log says why.")
    return answer.finish()


def _chunk(data: bytes, request: str) -> Mapping[str, Any]:
    """An event's or an answer's content.

    Raises:
        EngineError: it says that the server refused the request, or is none of SGLang's.
    """
    try:
        chunk: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(
            f"The server's answer to the request {request} is not in SGLang's format: {error}.",
            "Use a supported version of SGLang, without anything in between that changes requests.",
        ) from error
    if "error" in chunk:
        raise EngineError(
            f"The server refused the request {request}: {error_message(data)}.", "Mend what its message names."
        )
    return chunk
