"""What servers stream: the fields of all dialects that matter here. Others are skipped while decoding."""

from __future__ import annotations

from typing import Any

import msgspec


class Logprobs(msgspec.Struct):
    """Log-probabilities of a chunk's tokens, of which only the names are read."""

    tokens: list[str] | None = None


class Delta(msgspec.Struct):
    """What a chunk of a chat adds: to the reasoning, or to the reply."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def thought(self) -> str:
        """What the server takes for a thought."""
        return self.reasoning_content or self.reasoning or ""

    @property
    def text(self) -> str:
        """What was decoded, whatever the server takes it for."""
        return self.thought + (self.content or "")


class Choice(msgspec.Struct):
    """One choice of a chunk; there is only ever one."""

    text: str = ""
    delta: Delta | None = None
    token_ids: list[int] | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    avg_decoded_tokens_per_iter: float | None = None

    @property
    def added(self) -> str:
        """The text that the chunk adds."""
        return self.delta.text if self.delta is not None else self.text


class Usage(msgspec.Struct):
    """Token counts by the server's own account."""

    prompt_tokens: int
    completion_tokens: int


class VllmMetrics(msgspec.Struct):
    """vLLM's metrics of a request."""

    speculative_decoding: dict[str, Any] | None = None


class SglangExtension(msgspec.Struct):
    """SGLang's additions to an answer."""

    spec_tokens_details: dict[str, Any] | None = None


class Timings(msgspec.Struct):
    """llama.cpp's counts up to a chunk."""

    predicted_n: int = 0
    draft_n: int = 0
    draft_n_accepted: int = 0


class Chunk(msgspec.Struct):
    """One event of a streamed completion."""

    choices: list[Choice] = []
    usage: Usage | None = None
    metrics: VllmMetrics | None = None
    sglext: SglangExtension | None = None
    timings: Timings | None = None
    prompt_token_ids: list[int] | None = None
    error: Any = None
    object: str = ""


DONE = b"[DONE]"
"""The data of the event that ends a stream."""
CHUNKS = msgspec.json.Decoder(Chunk)
