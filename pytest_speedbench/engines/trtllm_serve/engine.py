"""The adapter over TensorRT-LLM's HTTP server: one of ours, or one that is running already."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.http.own_server import HOST, OwnServer, free_port
from pytest_speedbench.engines.http.served import name_to_ask
from pytest_speedbench.engines.openai.engine import OpenAIEngine
from pytest_speedbench.engines.openai.settings import ServerSettings
from pytest_speedbench.engines.trtllm.failures import root_cause
from pytest_speedbench.engines.trtllm.gpu import gpu_name, gpus_needed
from pytest_speedbench.engines.trtllm.greedy import check_sampling, greedy_only
from pytest_speedbench.engines.trtllm.lossy import SETTINGS
from pytest_speedbench.engines.trtllm.versions import TENSORRT_LLM, Version
from pytest_speedbench.engines.trtllm_serve.command import (
    KEY_VARIABLE,
    server_arguments,
    server_command,
    write_arguments,
)
from pytest_speedbench.errors import EngineError

_STOP_STAYS = {"include_stop_str_in_output": True}
"""Without it a stop token is cut off the output."""


class TrtllmServeEngine(OpenAIEngine):
    """TensorRT-LLM behind HTTP. A server of ours is started and stopped; one at ``pair.endpoint`` is only asked.

    Args:
        pair: what to serve, or what is served.
    """

    def __init__(self, pair: Pair) -> None:
        self._arguments: dict[str, Any] = {}
        self._greedy_only: Version | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        super().__init__(pair, name="trtllm-serve", settings=_settings(pair), launch=self._start_ours)

    async def start(self) -> EngineInfo:
        """Start the server, or find the one that is running, and find out how it can be asked.

        Raises:
            EngineError: it does not start, does not answer, serves something else, or cannot be asked with token ids.
        """
        info = await super().start()
        if self._folder is None:
            return info
        return replace(
            info,
            args=cast("dict[str, EngineArg]", {**info.args, **_recorded(self._arguments)}),
            device=gpu_name() or info.device,
            device_count=gpus_needed(self._pair),
        )

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Have one request decoded: an emission for every chunk that arrives.

        Raises:
            EngineError: the server refused the request, broke down, or answered something else; or it is ours and does
                not sample.
        """
        if self._greedy_only is not None:
            check_sampling(request.sampling, self._greedy_only)
        if request.sampling.greedy:
            # Before 1.2 a temperature of 0 beside any other top-p samples; a top-p of 0 leaves one token everywhere.
            request = replace(request, sampling=replace(request.sampling, top_p=0.0))
        async with aclosing(super().generate(request)) as items:
            async for item in items:
                yield item

    async def stop(self) -> None:
        """Close the connections, and stop the server if it is ours."""
        folder, self._folder = self._folder, None
        try:
            await super().stop()
        finally:
            if folder is not None:
                folder.cleanup()

    def _start_ours(self) -> OwnServer:
        version = TENSORRT_LLM.version(self._pair.python)
        self._arguments = server_arguments(self._pair, version)
        if greedy_only(self._pair, version, self._arguments.get("speculative_config", {})):
            self._greedy_only = version
        self._folder = tempfile.TemporaryDirectory(prefix="speedbench-trtllm-")
        file, port = Path(self._folder.name) / "options.yaml", free_port()
        write_arguments(self._arguments, file)
        model = str(open_checkpoint(self._pair.model, download=True).folder)
        command = server_command(self._pair, model, file, HOST, port)
        return OwnServer.start(command, port=port, kind="TensorRT-LLM", root_cause=root_cause, lossy=SETTINGS)


def _settings(pair: Pair) -> ServerSettings:
    """TensorRT-LLM's server says neither how long a sequence may be nor how many it decodes at once.

    Raises:
        EngineError: the target's config does not say how long a sequence may be.
    """
    context = pair.engine_args.get("max_seq_len")
    if not isinstance(context, int):
        context = open_checkpoint(pair.model, download=True).size("max_position_embeddings")
    if context is None:
        raise EngineError(f"The config.json of {pair.model!r} gives no max_position_embeddings.", "Add it.")
    most = pair.engine_args.get("max_batch_size")
    return ServerSettings(
        KEY_VARIABLE,
        context,
        most if isinstance(most, int) else None,
        dict(_STOP_STAYS),
        served_model_name=name_to_ask(pair),
    )


def _recorded(arguments: dict[str, Any]) -> dict[str, Any]:
    """What shapes a measurement: all but paths."""
    kept = dict(arguments)
    if "speculative_config" in kept:
        speculation = kept["speculative_config"]
        kept["speculative_config"] = {k: v for k, v in speculation.items() if k != "speculative_model_dir"}
    return kept
