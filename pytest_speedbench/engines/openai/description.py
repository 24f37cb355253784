"""What a server says of itself, as far as it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_speedbench.engines.http.client import RefusedError, ServerClient
from pytest_speedbench.engines.http.served import ServedModel
from pytest_speedbench.engines.lossy import refuse_arguments
from pytest_speedbench.engines.sglang.lossy import SETTINGS
from pytest_speedbench.engines.sglang.record import DraftShape, draft_shape

_NAMES = {"vllm": "vLLM", "sglang": "SGLang", "tensorrt_llm": "TensorRT-LLM", "llamacpp": "llama.cpp"}
_VERSIONS = (("/version", "version"), ("/server_info", "version"), ("/props", "build_info"))
"""Pages and the field that holds the version: vLLM and TensorRT-LLM, SGLang, llama.cpp."""
SERVER_INFO = "/server_info"


def server_name(model: ServedModel) -> str:
    """Which server it is, as the model's card says."""
    return _NAMES.get(model.owner or "", model.owner or "unknown")


async def server_version(client: ServerClient) -> str:
    """The server's version; ``unknown`` if it tells none.

    Raises:
        ServerDownError: the server does not answer.
    """
    for path, field in _VERSIONS:
        version = (await _page(client, path)).get(field)
        if isinstance(version, str) and version:
            return version
    return "unknown"


async def sglang_shape(client: ServerClient, model: ServedModel) -> DraftShape | None:
    """How an SGLang server drafts, from its resolved arguments; ``None`` if it is none, or does not say.

    Raises:
        EngineError: its acceptance is lossy.
        ServerDownError: the server does not answer.
    """
    if model.owner != "sglang":
        return None
    page = await _page(client, SERVER_INFO)
    refuse_arguments("The SGLang server", SETTINGS, page)
    try:
        return draft_shape(page)
    except (KeyError, TypeError, ValueError):
        return None


async def _page(client: ServerClient, path: str) -> Mapping[str, Any]:
    """A page's JSON object; empty if there is none."""
    try:
        body = await client.find(path)
        page = msgspec.json.decode(body) if body is not None else None
    except (RefusedError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return page if isinstance(page, dict) else {}
