"""What the two sides say to each other: msgpack behind a length of four bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from pytest_speedbench.config import Drafter, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo, Finish, Request, SpeculationCounters

PROTOCOL = 5
"""Raised when a message changes; both sides must speak the same."""

_LENGTH_BYTES = 4


class PlainPair(msgspec.Struct, frozen=True):
    """A :class:`~pytest_speedbench.Pair`, its engine arguments as plain values."""

    name: str
    engine: str
    model: str
    drafter: Drafter | None
    engine_args: dict[str, Any]
    python: str | None
    endpoint: str | None
    command: str | None

    @classmethod
    def of(cls, pair: Pair) -> PlainPair:
        """From a pair."""
        args = {name: _plain(value) for name, value in pair.engine_args.items()}
        return cls(pair.name, pair.engine, pair.model, pair.drafter, args, pair.python, pair.endpoint, pair.command)

    def pair(self) -> Pair:
        """The pair."""
        return Pair(**{name: getattr(self, name) for name in self.__struct_fields__})


class PlainInfo(msgspec.Struct, frozen=True):
    """An :class:`~pytest_speedbench.engines.base.EngineInfo`, its arguments as plain values."""

    name: str
    version: str
    args: dict[str, Any]
    device: str
    device_count: int
    driver: str | None
    max_concurrency: int | None
    vocab_size: int
    context_tokens: int
    eos_token_ids: tuple[int, ...]
    templates_prompts: bool
    timed: bool = True

    @classmethod
    def of(cls, info: EngineInfo) -> PlainInfo:
        """From what an engine says."""
        values = {name: getattr(info, name) for name in cls.__struct_fields__ if name != "args"}
        return cls(args={name: _plain(value) for name, value in info.args.items()}, **values)

    def info(self) -> EngineInfo:
        """What the engine said."""
        return EngineInfo(**{name: getattr(self, name) for name in self.__struct_fields__})


class PlainRequest(msgspec.Struct, frozen=True):
    """A :class:`~pytest_speedbench.engines.base.Request`."""

    request_id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling

    def request(self) -> Request:
        """The request."""
        return Request(self.request_id, self.prompt_ids, self.sampling)


class Start(msgspec.Struct, frozen=True, tag=True):
    """Make the engine that ``factory`` (``module:attribute``, called with the pair) gives, and start it."""

    protocol: int
    factory: str
    pair: PlainPair


class Generate(msgspec.Struct, frozen=True, tag=True):
    """Decode a request; all answers carry ``key``."""

    key: int
    request: PlainRequest


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Nobody waits for ``key`` any more."""

    key: int


class AskCounters(msgspec.Struct, frozen=True, tag=True):
    """Read the engine's counters."""

    key: int


class AskNextTokens(msgspec.Struct, frozen=True, tag=True):
    """How likely are the next tokens?"""

    key: int
    prompt_ids: tuple[int, ...]
    count: int


class AskReading(msgspec.Struct, frozen=True, tag=True):
    """Which prompt does the target read when this one is asked?"""

    key: int
    prompt_ids: tuple[int, ...]


class AskMargins(msgspec.Struct, frozen=True, tag=True):
    """How sure was the target of this output?"""

    key: int
    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Stop the engine and end."""


class Started(msgspec.Struct, frozen=True, tag=True):
    """The engine takes requests."""

    info: PlainInfo


class Emitted(msgspec.Struct, frozen=True, tag=True):
    """Tokens of a request. ``at_s`` is ``time.perf_counter()`` of the machine's one monotonic clock."""

    key: int
    token_ids: tuple[int, ...]
    at_s: float


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The end of a request, or of its cancellation if ``finish`` is ``None``."""

    key: int
    finish: Finish | None


class Counters(msgspec.Struct, frozen=True, tag=True):
    """The engine's counters; ``None`` if it has none."""

    key: int
    counters: SpeculationCounters | None


class NextTokens(msgspec.Struct, frozen=True, tag=True):
    """Token ids with natural log-probabilities, most probable first."""

    key: int
    tokens: tuple[tuple[int, float], ...]


class Reading(msgspec.Struct, frozen=True, tag=True):
    """The prompt as the engine read it; ``None`` when it does not say."""

    key: int
    prompt_ids: tuple[int, ...] | None


class Margins(msgspec.Struct, frozen=True, tag=True):
    """One margin in nats per output token; ``None`` when the engine does not say."""

    key: int
    margins_nats: tuple[float, ...] | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A request failed, or the engine itself where ``key`` is ``None``; ``unsupported`` if it was not even tried."""

    key: int | None
    problem: str
    remedy: str
    unsupported: bool = False


ToHost = Start | Generate | Cancel | AskCounters | AskNextTokens | AskReading | AskMargins | Stop
ToClient = Started | Emitted | Finished | Counters | NextTokens | Reading | Margins | Failed

_encoder = msgspec.msgpack.Encoder()
_host_decoder = msgspec.msgpack.Decoder(ToHost)
_client_decoder = msgspec.msgpack.Decoder(ToClient)


def send(writer: asyncio.StreamWriter, message: ToHost | ToClient) -> None:
    """Queue a message; the transport sends in order."""
    body = _encoder.encode(message)
    writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)


async def read_at_host(reader: asyncio.StreamReader) -> ToHost | None:
    """The next message from the client; ``None`` when it is gone."""
    body = await _read(reader)
    return None if body is None else _host_decoder.decode(body)


async def read_at_client(reader: asyncio.StreamReader) -> ToClient | None:
    """The next message from the host; ``None`` when it is gone."""
    body = await _read(reader)
    return None if body is None else _client_decoder.decode(body)


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _plain(value: Any) -> Any:
    """Mappings and sequences of any kind as dicts and lists; what msgpack cannot say as text."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)
