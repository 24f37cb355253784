"""What a server says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import msgspec

from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.errors import EngineError

_GPU_LINE = re.compile(r"(?:GPU \d+: )?(.+)")
_LOOK = "Check that the endpoint is a vLLM server of a supported version."


class _Version(msgspec.Struct):
    version: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server's resolved configuration and the machine it runs on, from its development pages.

    Attributes:
        config: vLLM's config, its sections as attributes.
        system: what vLLM found out about the machine; values may be ``None`` or ``"None"``.
    """

    config: Any
    system: Mapping[str, Any]

    @property
    def on_cpu(self) -> bool:
        """Whether the model runs on the processor."""
        return str(self.config.device_config.device) == "cpu"

    @property
    def accelerator(self) -> str | None:
        """The first accelerator's name; the processor's if it runs there; ``None`` if it does not say."""
        if self.on_cpu:
            found = re.search(r"^Model name:\s*(.+)$", str(self.system.get("cpu_info")), re.MULTILINE)
            return found.group(1).strip() if found else None
        return self._first("nvidia_gpu_models") or self._first("intel_gpu_models")

    @property
    def driver(self) -> str | None:
        """The version of CUDA or ROCm that it was built for."""
        for field, name in (("cuda_compiled_version", "CUDA"), ("hip_compiled_version", "ROCm")):
            if not self.on_cpu and (found := self._first(field)):
                return f"{name} {found}"
        return None

    @property
    def device_count(self) -> int:
        """Accelerators used."""
        parallel = self.config.parallel_config
        return 1 if self.on_cpu else int(parallel.world_size) * int(parallel.data_parallel_size)

    @property
    def max_concurrency(self) -> int:
        """Requests that all ranks decode at once."""
        return int(self.config.scheduler_config.max_num_seqs) * int(self.config.parallel_config.data_parallel_size)

    def _first(self, field: str) -> str | None:
        value = str(self.system.get(field)).strip()
        if value in ("None", "N/A", ""):
            return None
        found = _GPU_LINE.match(value)
        return found.group(1).strip() if found else None


async def server_version(client: ServerClient) -> str:
    """The server's version of vLLM.

    Raises:
        EngineError: it has none.
    """
    body = await client.get("/version")
    try:
        return msgspec.json.decode(body, type=_Version).version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"The server's /version cannot be read: {error}.", _LOOK) from error


async def server_info(client: ServerClient) -> ServerInfo | None:
    """The resolved configuration; ``None`` unless the server runs with its development pages on."""
    body = await client.find("/server_info?config_format=json")
    if body is None:
        return None
    try:
        answer = json.loads(body)
        config = json.loads(json.dumps(answer["vllm_config"]), object_hook=lambda fields: SimpleNamespace(**fields))
        return ServerInfo(config, answer["system_env"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"The server's /server_info cannot be read: {error!r}.", _LOOK) from error
