"""The adapter over vLLM's HTTP server: one of ours, or one that is running already."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.http.behind import BehindHttp
from pytest_speedbench.engines.http.client import ServerClient, ServerDownError
from pytest_speedbench.engines.http.endpoint import root_url
from pytest_speedbench.engines.http.served import (
    ServedModel,
    check_draft_length,
    name_to_ask,
    served_model,
    vocabulary_size,
)
from pytest_speedbench.engines.lossy import refuse_arguments
from pytest_speedbench.engines.openai.acceptance import acceptance_of
from pytest_speedbench.engines.openai.answer import StreamedAnswer
from pytest_speedbench.engines.openai.dialects import PATH
from pytest_speedbench.engines.openai.read_back import prompt_in
from pytest_speedbench.engines.served_fit import check_model
from pytest_speedbench.engines.vllm.arguments import engine_arguments
from pytest_speedbench.engines.vllm.kinds import check_resolved
from pytest_speedbench.engines.vllm.lossy import SETTINGS
from pytest_speedbench.engines.vllm.resolved import resolved_arguments
from pytest_speedbench.engines.vllm_serve.completions import (
    DIALECT,
    margins_request,
    ranking_request,
    read_margins,
    read_ranking,
)
from pytest_speedbench.engines.vllm_serve.description import ServerInfo, server_info, server_version
from pytest_speedbench.engines.vllm_serve.endpoint import KEY_VARIABLE, endpoint_key, own_key
from pytest_speedbench.engines.vllm_serve.launch import start_server
from pytest_speedbench.engines.vllm_serve.prometheus import Metrics
from pytest_speedbench.errors import EngineError


class VllmServeEngine(BehindHttp):
    """vLLM behind HTTP. A server of ours is started and stopped; one at ``pair.endpoint`` is only asked.

    Times are taken when the bytes arrive at this process.

    Args:
        pair: what to serve, or what is served.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._model: ServedModel | None = None

    async def start(self) -> EngineInfo:
        """Start the server, or find the one that is running, and see that it speculates as the pair says.

        Raises:
            EngineError: it does not start, does not answer, or serves something else.
        """
        try:
            if self._pair.endpoint is not None:
                return await self._connect(
                    root_url(self._pair.endpoint, KEY_VARIABLE), endpoint_key(), self._pair.model, {}
                )
            arguments = engine_arguments(self._pair)
            self._server = start_server(self._pair.python, arguments)
            wanted = self._server.model or self._pair.model
            return await self._connect(self._server.url, own_key(), wanted, arguments)
        except BaseException:
            await self.stop()
            raise

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Have one request decoded: an emission for every chunk that arrives.

        Raises:
            EngineError: the server refused the request, broke down, or answered something else.
        """
        client, model = self._started()
        answer = StreamedAnswer(request, DIALECT)
        body = DIALECT.request(model.name, request.prompt_ids, request.sampling)
        try:
            async with aclosing(client.events(PATH, body)) as events:
                async for data, at_s in events:
                    if emission := answer.read(data, at_s):
                        yield emission
            ended = answer.end()
        except ServerDownError as failure:
            raise await self._explained(failure) from failure
        yield Finish(ended.reason, acceptance_of(answer.reported, self._pair.drafter, None))

    async def counters(self) -> SpeculationCounters | None:
        """Speculation since the server's start, from ``/metrics``; ``None`` if it has no such counters.

        Raises:
            EngineError: the server does not answer.
        """
        client, model = self._started()
        metrics = await _metrics(client, model.counted_as)
        return metrics.speculation if metrics is not None else None

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The most probable next tokens with their log-probabilities; vLLM gives 20 at most unless told otherwise.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        client, model = self._started()
        return read_ranking(await client.post(PATH, ranking_request(model.name, prompt_ids, count)), count)

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The prompt's ids that the server returns with its answer.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        client, model = self._started()
        return prompt_in(await client.post(PATH, ranking_request(model.name, prompt_ids, 1)))

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...] | None:
        """How sure the target was of every output token.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        client, model = self._started()
        answer = await client.post(PATH, margins_request(model.name, prompt_ids, output_ids))
        return read_margins(answer, len(prompt_ids), output_ids)

    @property
    def _draft_length(self) -> int | None:
        return self._pair.drafter.draft_length if self._pair.drafter is not None else None

    def _started(self) -> tuple[ServerClient, ServedModel]:
        if self._client is None or self._model is None:
            raise EngineError("The vllm-serve engine was asked before it was started.", "Start it first.")
        return self._client, self._model

    async def _connect(self, url: str, key: str | None, wanted: str, arguments: Mapping[str, Any]) -> EngineInfo:
        client = self._client = ServerClient(url, key, kind="vLLM", key_variable=KEY_VARIABLE)
        if self._server is not None:
            await self._server.wait_until_ready(client)
        self._model = await served_model(client, wanted, name_to_ask(self._pair))
        if self._pair.server is not None:
            check_model(self._model, open_checkpoint(self._pair.model, download=True), self._pair.model, url)
        metrics = await _metrics(client, self._model.counted_as)
        if metrics is not None and metrics.keeps_statistics:
            positions = metrics.speculation and metrics.speculation.accepted_per_position
            check_draft_length(len(positions) if positions else None, self._draft_length)
        info = await server_info(client)
        speculation = info and getattr(info.config, "speculative_config", None)
        if speculation is not None:
            refuse_arguments("The vLLM server", SETTINGS, vars(speculation))
            drafter = self._pair.drafter
            folder = open_checkpoint(drafter.model, download=True) if drafter is not None and drafter.model else None
            check_resolved(drafter, folder, speculation)
        return self._info(self._model, await server_version(client), info, arguments)

    def _info(
        self, model: ServedModel, version: str, info: ServerInfo | None, arguments: Mapping[str, Any]
    ) -> EngineInfo:
        checkpoint = open_checkpoint(self._pair.model, download=True)
        if model.context_tokens is None:
            raise EngineError(
                "The server does not say how long a sequence may be.",
                "Check that the endpoint is a vLLM server of a supported version.",
            )
        return EngineInfo(
            name="vllm-serve",
            version=version,
            args=cast(
                "Mapping[str, EngineArg]",
                _without_paths(arguments) if info is None else resolved_arguments(info.config, arguments),
            ),
            device=self._device(info),
            device_count=info.device_count if info is not None else 1,
            driver=info.driver if info is not None else None,
            max_concurrency=info.max_concurrency if info is not None else None,
            vocab_size=vocabulary_size(checkpoint),
            context_tokens=model.context_tokens,
            eos_token_ids=checkpoint.end_token_ids,
        )

    def _device(self, info: ServerInfo | None) -> str:
        if info is not None and info.on_cpu and self._server is not None:
            return cpu_name()
        where = self._pair.endpoint and f"behind {root_url(self._pair.endpoint, KEY_VARIABLE)}"
        return (info.accelerator if info is not None else None) or f"unknown ({where or 'the server does not say'})"


async def _metrics(client: ServerClient, names: Sequence[str]) -> Metrics | None:
    """The metrics of a model, under the first of the names that the page has figures of."""
    body = await client.find("/metrics")
    if body is None:
        return None
    scrapes = [Metrics(body.decode(errors="replace"), name) for name in names]
    return next((scrape for scrape in scrapes if scrape.keeps_statistics), scrapes[0])


def _without_paths(arguments: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in arguments.items() if name not in ("model", "disable_log_stats")}
    if "speculative_config" in kept:
        kept["speculative_config"] = {k: v for k, v in kept["speculative_config"].items() if k != "model"}
    return kept
