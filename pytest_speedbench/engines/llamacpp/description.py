"""What a server says of itself."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pytest_speedbench.config import EngineArg
from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.engines.http.metrics import Scrape
from pytest_speedbench.errors import EngineError

_PREFIX = "llamacpp:spec_decode_"
_DTYPES = {"all F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class _Settings(msgspec.Struct):
    n_ctx: int


class Properties(msgspec.Struct):
    """``/props``, as far as it matters here."""

    default_generation_settings: _Settings
    total_slots: int
    build_info: str
    model_ftype: str | None = None

    @property
    def context_tokens(self) -> int:
        """The longest sequence that is never cut: the server stops one token before its slots are full."""
        return self.default_generation_settings.n_ctx - 1


def precision(ftype: str | None, table: Mapping[str, EngineArg]) -> str | None:
    """The type that rounds coarsest, as far as it is told: weights, and keys and values, which are halved by default.

    Args:
        ftype: how the server describes its weights.
        table: the flags it was started with.

    Returns:
        ``None`` for quantized weights.
    """
    weights = _DTYPES.get(ftype or "")
    exact = table.get("flash_attn") == "off" and table.get("cache_type_k") == table.get("cache_type_v") == "f32"
    return "float16" if weights == "float32" and not exact else weights


class _Slot(msgspec.Struct):
    speculative: bool


async def properties(client: ServerClient) -> Properties:
    """The server's properties.

    Raises:
        EngineError: it has none, or other ones.
    """
    body = await client.get("/props")
    try:
        return msgspec.json.decode(body, type=Properties)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(
            f"The /props of the server at {client.url} cannot be read: {error}.",
            "Check that the endpoint is a llama-server of a supported build.",
        ) from error


async def speculates(client: ServerClient) -> bool | None:
    """Whether the server decodes with a drafter; ``None`` if it does not say.

    Raises:
        EngineError: the server does not answer.
    """
    body = await client.find("/slots")
    try:
        return None if body is None else any(slot.speculative for slot in msgspec.json.decode(body, type=list[_Slot]))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def counters(client: ServerClient) -> SpeculationCounters | None:
    """Speculation since the server's start; ``None`` if it runs without ``--metrics``.

    Raises:
        EngineError: the server does not answer.
    """
    body = await client.find("/metrics")
    if body is None:
        return None
    scrape = Scrape(body.decode(errors="replace"), {})
    if (by_position := scrape.speculation(_PREFIX)) is not None:
        return by_position
    # Positions are on the page once something was drafted.
    steps, proposed = scrape.count(f"{_PREFIX}num_drafts_total"), scrape.count(f"{_PREFIX}num_draft_tokens_total")
    accepted = scrape.count(f"{_PREFIX}num_accepted_tokens_total")
    if steps is None or proposed is None or accepted is None:
        return None
    return SpeculationCounters(steps, proposed, None, accepted)
