"""The adapter over llama.cpp's HTTP server: one of ours, or one that is running already."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.http.behind import BehindHttp
from pytest_speedbench.engines.http.client import ServerClient, ServerDownError
from pytest_speedbench.engines.http.endpoint import root_url
from pytest_speedbench.engines.http.served import (
    check_draft_length,
    name_to_ask,
    served_model,
    vocabulary_size,
)
from pytest_speedbench.engines.llamacpp.arguments import arguments, binary_name
from pytest_speedbench.engines.llamacpp.binary import devices, find_binary
from pytest_speedbench.engines.llamacpp.completions import (
    PATH,
    StreamedAnswer,
    ranking_request,
    read_ranking,
    reading_request,
    streamed_request,
)
from pytest_speedbench.engines.llamacpp.description import (
    Properties,
    counters,
    precision,
    properties,
    speculates,
)
from pytest_speedbench.engines.llamacpp.endpoint import KEY_VARIABLE, endpoint_key, own_key
from pytest_speedbench.engines.llamacpp.files import DRAFT_GGUF, GGUF, drafter_file, target_file
from pytest_speedbench.engines.llamacpp.launch import KIND, start_server
from pytest_speedbench.engines.llamacpp.slots import save_slot
from pytest_speedbench.engines.served_fit import check_model
from pytest_speedbench.errors import EngineError


class LlamaCppEngine(BehindHttp):
    """``llama-server`` behind HTTP. A server of ours is started and stopped; one at ``pair.endpoint`` is only asked.

    Times are taken when the bytes arrive at this process. The tokens of one verify step are one emission, though the
    server sends them one by one.

    Args:
        pair: what to serve, or what is served.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._saved: TemporaryDirectory[str] | None = None

    async def start(self) -> EngineInfo:
        """Start the server, or find the one that is running, and see that it serves what the pair says.

        Raises:
            EngineError: it does not start, does not answer, or serves something else.
        """
        checkpoint = open_checkpoint(self._pair.model, download=True)
        async with self._starting():
            if self._pair.endpoint is not None:
                return await self._connect(root_url(self._pair.endpoint, KEY_VARIABLE), endpoint_key(), checkpoint, {})
            table = arguments(self._pair, checkpoint) if self._pair.command is None else {}
            self._server = start_server(self._pair, table, self._slots_folder())
            return await self._connect(self._server.url, own_key(), checkpoint, table)

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Have one request decoded: an emission for every decode step.

        Raises:
            EngineError: the server refused the request, broke down, or answered something else.
        """
        client, answer = self._started(), StreamedAnswer(request, self._draft_length)
        try:
            async with aclosing(client.events(PATH, streamed_request(request))) as events:
                async for data, at_s in events:
                    if emission := answer.read(data, at_s):
                        yield emission
            finish = answer.finish()
        except ServerDownError as failure:
            raise await self._explained(failure) from failure
        yield finish

    async def counters(self) -> SpeculationCounters | None:
        """Speculation since the server's start, from ``/metrics``; ``None`` if it runs without that page.

        Raises:
            EngineError: the server does not answer.
        """
        return await counters(self._started())

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The most probable next tokens with their log-probabilities.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        return read_ranking(await self._started().post(PATH, ranking_request(prompt_ids, count)), count)

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The ids in the key-value cache after ``prompt_ids`` were asked; ``None`` unless the server is ours.

        Raises:
            EngineError: the server refuses or does not answer.
        """
        client = self._started()
        if self._saved is None:
            return None
        await client.post(PATH, reading_request(prompt_ids, slot=0))
        return await save_slot(client, 0, Path(self._saved.name))

    async def stop(self) -> None:
        """Close the connections, and stop the server if it is ours."""
        saved, self._saved = self._saved, None
        try:
            await super().stop()
        finally:
            if saved is not None:
                saved.cleanup()

    @property
    def _draft_length(self) -> int | None:
        return self._pair.drafter.draft_length if self._pair.drafter is not None else None

    def _slots_folder(self) -> str | None:
        if self._pair.command is not None:
            return None
        self._saved = TemporaryDirectory(prefix="speedbench-slots-")
        return self._saved.name

    def _started(self) -> ServerClient:
        if self._client is None:
            raise EngineError("The llamacpp engine was asked before it was started.", "Start it first.")
        return self._client

    async def _connect(
        self, url: str, key: str | None, checkpoint: Checkpoint, table: Mapping[str, EngineArg]
    ) -> EngineInfo:
        # It closes a connection after a stream, and does not say so in the answer's headers.
        client = self._client = ServerClient(url, key, kind=KIND, key_variable=KEY_VARIABLE, reuse_streams=False)
        if self._server is not None:
            await self._server.wait_until_ready(client)
        model = await served_model(
            client, (self._server and self._server.model) or self._pair.model, name_to_ask(self._pair)
        )
        check_model(model, checkpoint, self._pair.model, url)
        await self._check_drafter(client)
        return self._info(await properties(client), checkpoint, table)

    async def _check_drafter(self, client: ServerClient) -> None:
        found, wanted = await speculates(client), self._draft_length
        if found is not None and found != (wanted is not None):
            raise EngineError(
                f"The server decodes {'with' if found else 'without'} a drafter, and the pair has "
                f"{'none' if wanted is None else 'one'}.",
                "Correct the pair, or start the server with the drafter that is to be measured.",
            )
        counted = await counters(client)
        if counted is not None and counted.accepted_per_position:
            check_draft_length(len(counted.accepted_per_position), wanted)

    def _info(self, found: Properties, checkpoint: Checkpoint, table: Mapping[str, EngineArg]) -> EngineInfo:
        names = self._devices()
        told = {**self._file_names(), "model_ftype": found.model_ftype, "dtype": precision(found.model_ftype, table)}
        return EngineInfo(
            name="llamacpp",
            version=found.build_info,
            args={**table, **{name: value for name, value in told.items() if value is not None}},
            device=names[0] if names else cpu_name(),
            device_count=len(names) or 1,
            driver=None,
            max_concurrency=found.total_slots,
            vocab_size=vocabulary_size(checkpoint),
            context_tokens=found.context_tokens,
            eos_token_ids=checkpoint.end_token_ids,
        )

    def _file_names(self) -> dict[str, str | None]:
        """Without their folders, which differ from machine to machine."""
        if self._pair.server is not None:
            return {}
        drafter = drafter_file(self._pair)
        return {GGUF: target_file(self._pair).name, DRAFT_GGUF: None if drafter is None else drafter.name}

    def _devices(self) -> tuple[str, ...]:
        """Accelerators in use; none for a CPU."""
        if self._pair.endpoint is not None:
            return (f"unknown (behind {root_url(self._pair.endpoint, KEY_VARIABLE)})",)
        if self._pair.command is not None:
            return (f"unknown (the pair's command on {cpu_name()})",)
        on_cpu = self._pair.engine_args.get("n_gpu_layers") == 0 or self._pair.engine_args.get("device") == "none"
        return () if on_cpu else devices(find_binary(binary_name(self._pair)))
