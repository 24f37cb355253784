"""The adapter over any OpenAI-compatible server: one that is running, or one of ours."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.http.behind import BehindHttp
from pytest_speedbench.engines.http.client import ServerClient, ServerDownError
from pytest_speedbench.engines.http.command import filled_in
from pytest_speedbench.engines.http.endpoint import SERVED_NAME, root_url
from pytest_speedbench.engines.http.own_server import OwnServer, free_port
from pytest_speedbench.engines.http.served import (
    MODELS_PATH,
    ServedModel,
    check_draft_length,
    served_model,
    vocabulary_size,
)
from pytest_speedbench.engines.openai.acceptance import acceptance_of
from pytest_speedbench.engines.openai.answer import StreamedAnswer
from pytest_speedbench.engines.openai.counters import speculation_counters
from pytest_speedbench.engines.openai.description import server_name, server_version, sglang_shape
from pytest_speedbench.engines.openai.dialects import CHAT_PATH, PATH, Prompt
from pytest_speedbench.engines.openai.lossy import SETTINGS
from pytest_speedbench.engines.openai.probe import Found, check_heard, find_dialect
from pytest_speedbench.engines.openai.read_back import check_arrived, prompt_in
from pytest_speedbench.engines.openai.settings import ServerSettings, read_settings
from pytest_speedbench.engines.openai.tokenizer import TOKENIZER_FILE, TargetTokenizer
from pytest_speedbench.engines.served_fit import check_model
from pytest_speedbench.engines.sglang.record import DraftShape
from pytest_speedbench.engines.vllm.failures import root_cause
from pytest_speedbench.errors import EngineError, SpeedbenchWarning, UnsupportedError

_READY = (MODELS_PATH, "/health")


@dataclass(frozen=True, slots=True)
class _Connected:
    """A server that answered, and how it is asked; ``reader`` makes text of prompts that the server rendered."""

    client: ServerClient
    model: ServedModel
    found: Found
    reader: TargetTokenizer | None
    shape: DraftShape | None
    end_tokens: tuple[int, ...]


class OpenAIEngine(BehindHttp):
    """A server behind HTTP. One of ours is started and stopped; one at ``pair.endpoint`` is only asked.

    Times are taken when the bytes arrive at this process.

    Args:
        pair: what is served.
        name: the engine's registered name.
        settings: how to ask; ``None`` for what the pair's engine arguments say.
        launch: starts a server of ours where there is no endpoint; ``None`` for the pair's command.
    """

    def __init__(
        self,
        pair: Pair,
        *,
        name: str = "openai",
        settings: ServerSettings | None = None,
        launch: Callable[[], OwnServer] | None = None,
    ) -> None:
        super().__init__(pair)
        self._name = name
        self._settings = settings if settings is not None else read_settings(pair)
        self._launch = launch if launch is not None else self._from_command
        self._connected: _Connected | None = None

    async def start(self) -> EngineInfo:
        """Start the server, or find the one that is running, and find out how it can be asked.

        Raises:
            EngineError: it does not start, does not answer, serves something else, or cannot be asked with token ids.
        """
        async with self._starting():
            if self._pair.endpoint is None:
                self._server = self._launch()
            return await self._connect()

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Have one request decoded: an emission for every chunk that arrives, or all at the end if only text arrives.

        Raises:
            EngineError: the server refused the request, broke down, or answered something else.
        """
        there = self._started()
        dialect, tokenizer = there.found.dialect, there.found.tokenizer
        answer = StreamedAnswer(request, dialect, tokenizer, there.end_tokens)
        prompt = _prompt(request, there.found)
        if request.sampling.ignore_eos and not dialect.sampling:
            raise UnsupportedError(
                "The server cannot be told to go on beyond an end-of-sequence token.",
                "Measure without ignore_eos, or on another server.",
            )
        body = {**dialect.request(there.model.name, prompt, request.sampling), **self._settings.extra_body}
        try:
            async with aclosing(there.client.events(dialect.route, body)) as events:
                async for data, at_s in events:
                    if emission := answer.read(data, at_s):
                        yield emission
            ended = answer.end()
        except ServerDownError as failure:
            raise await self._explained(failure) from failure
        if answer.prompt_read is not None and there.reader is not None:
            await asyncio.to_thread(check_arrived, answer.prompt_read, request, there.reader)
        for emission in ended.rest:
            yield emission
        if not ended.recounted:
            self._warn_of_recount()
        yield Finish(
            ended.reason,
            acceptance_of(answer.reported, self._pair.drafter, there.shape),
            answer=ended.answer,
            counted_tokens=None if ended.recounted else answer.reported.output_tokens,
        )

    async def counters(self) -> SpeculationCounters | None:
        """Speculation since the server's start, from its metrics page; ``None`` if it has no such counters.

        Raises:
            EngineError: the server does not answer.
        """
        there = self._started()
        return await speculation_counters(there.client, there.model.counted_as)

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The prompt's ids that the server returns with its answer; ``None`` if it returns none.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        there = self._started()
        body = {"model": there.model.name, "prompt": list(prompt_ids), "max_tokens": 1, "temperature": 0.0}
        if there.found.dialect.prompt != "token_ids":
            return None
        if there.found.dialect.fields.get("return_token_ids"):
            body["return_token_ids"] = True
        return prompt_in(await there.client.post(PATH, {**body, **self._settings.extra_body}))

    async def stop(self) -> None:
        """Close the connections, and stop the server if it is ours."""
        self._connected = None
        await super().stop()

    def _started(self) -> _Connected:
        if self._connected is None:
            raise EngineError(f"The {self._name} engine was asked before it was started.", "Start it first.")
        return self._connected

    def _from_command(self) -> OwnServer:
        port = free_port()
        return OwnServer.start(
            filled_in(self._pair, port), port=port, kind="pair's", root_cause=root_cause, lossy=SETTINGS
        )

    async def _connect(self) -> EngineInfo:
        settings, checkpoint = self._settings, open_checkpoint(self._pair.model, download=True)
        url = self._server.url if self._server is not None else self._endpoint
        client = self._client = ServerClient(
            url, settings.api_key, kind="OpenAI's kind", key_variable=settings.api_key_env
        )
        if self._server is not None:
            await self._server.wait_until_ready(client, _READY)
        wanted = (self._server and self._server.model) or self._pair.model
        model = await served_model(client, wanted, settings.served_model_name)
        client.reuse_streams = model.owner != "llamacpp"  # which closes a connection after a stream unsaid
        vocab_size = vocabulary_size(checkpoint)
        check_model(model, checkpoint, self._pair.model, url)
        context_tokens = settings.context_tokens or model.context_tokens
        if context_tokens is None:
            raise EngineError(
                f"The server at {url} does not say how long a sequence may be.",
                "Give the engine argument context_tokens.",
            )
        counters = await speculation_counters(client, model.counted_as)
        if counters is not None and counters.accepted_per_position is not None:
            check_draft_length(len(counters.accepted_per_position), self._draft_length)
        found = await find_dialect(
            client, model.name, settings.extra_body, lambda: TargetTokenizer(checkpoint.folder), settings.route
        )
        check_heard(settings.extra_body, found.dialect)
        shape = await sglang_shape(client, model)
        reader = found.tokenizer
        if reader is None and found.dialect.route == CHAT_PATH and (checkpoint.folder / TOKENIZER_FILE).is_file():
            reader = TargetTokenizer(checkpoint.folder)
        self._connected = _Connected(client, model, found, reader, shape, checkpoint.end_token_ids)
        return await self._info(self._connected, vocab_size, context_tokens)

    async def _info(self, there: _Connected, vocab_size: int, context_tokens: int) -> EngineInfo:
        args: dict[str, EngineArg] = {
            "route": there.found.dialect.route,
            "prompt": there.found.dialect.prompt,
            **({SERVED_NAME: there.model.name} if self._settings.served_model_name else {}),
            "output_ids": there.found.dialect.output_ids,
            **({"extra_body": self._settings.extra_body} if self._settings.extra_body else {}),
        }
        return EngineInfo(
            name=self._name,
            version=f"{server_name(there.model)} {await server_version(there.client)}",
            args=args,
            device=f"unknown ({'a server of ours, ' + cpu_name() if self._server else 'behind ' + there.client.url})",
            device_count=1,
            driver=None,
            max_concurrency=self._settings.max_concurrency,
            vocab_size=vocab_size,
            context_tokens=context_tokens,
            eos_token_ids=there.end_tokens,
            templates_prompts=there.found.dialect.route == CHAT_PATH,
        )

    @property
    def _endpoint(self) -> str:
        return root_url(self._pair.endpoint or "", self._settings.api_key_env)

    @property
    def _draft_length(self) -> int | None:
        return self._pair.drafter.draft_length if self._pair.drafter is not None else None

    def _warn_of_recount(self) -> None:
        warnings.warn(
            f"The output of the pair {self._pair.name!r} came as text, and tokenized again it has not as many tokens "
            "as the server counted: ids and counts of its outputs are not exact.",
            SpeedbenchWarning,
            stacklevel=2,
        )


def _prompt(request: Request, found: Found) -> Prompt:
    """A request's prompt as the server takes it.

    Raises:
        EngineError: the server takes conversations only, and this is none.
    """
    if found.dialect.prompt == "templated by the server":
        if not request.messages:
            raise EngineError(
                f"The server takes conversations only, and the prompt of the request {request.request_id} is none.",
                "Use a server that takes token ids at /v1/completions.",
            )
        return [{"role": role, "content": text} for role, text in request.messages]
    if found.dialect.prompt == "text" and found.tokenizer is not None:
        return found.tokenizer.decode(request.prompt_ids)
    return request.prompt_ids
