"""Counters of speculation on a server's metrics page."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.engines.http.client import RefusedError, ServerClient
from pytest_speedbench.engines.http.metrics import Scrape

PREFIXES = ("vllm:spec_decode_", "llamacpp:spec_decode_")
"""llama.cpp took vLLM's names over. SGLang publishes averages, of which counts cannot be made again; what TensorRT-LLM
publishes of speculation is not read."""
_PATH = "/metrics"


async def speculation_counters(client: ServerClient, names: Sequence[str]) -> SpeculationCounters | None:
    """Speculation since the server's start, all ranks summed; ``None`` if it has no page with such counters.

    Args:
        client: of the server.
        names: under which the served model may be counted, those to prefer first; samples labelled with another one
            are left out.

    Raises:
        EngineError: the page is there and cannot be read.
        ServerDownError: the server does not answer.
    """
    try:
        body = await client.find(_PATH)
    except RefusedError:
        return None
    if body is None or body.lstrip()[:1] in (b"[", b"{", b"<"):  # another page under the same name
        return None
    for name in names:
        scrape = Scrape(body.decode(errors="replace"), {"model_name": name})
        for prefix in PREFIXES:
            if (counters := scrape.speculation(prefix)) is not None:
                return counters
    return None
