"""``/v1/completions``: a request of ours in the server's words, and its streamed answer back in ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Finish, FinishReason, Request
from pytest_speedbench.engines.vllm.record import acceptance_record
from pytest_speedbench.engines.vllm_serve.http import ServerDownError, error_message
from pytest_speedbench.errors import EngineError

PATH = "/v1/completions"
_TOKEN_ID = "token_id:"  # noqa: S105 - how the server writes a token that is given by its id
_DONE = b"[DONE]"


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Metrics(msgspec.Struct):
    speculative_decoding: dict[str, Any] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    metrics: _Metrics | None = None
    error: Any = None
    object: str = ""


class _TopLogprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float]]


class _RankedChoice(msgspec.Struct):
    logprobs: _TopLogprobs


class _Ranked(msgspec.Struct):
    choices: list[_RankedChoice]


_CHUNKS = msgspec.json.Decoder(_Chunk)


def streamed_request(model: str, request: Request) -> dict[str, Any]:
    """The body that has ``request`` decoded and streamed as token ids, with usage and metrics at its end."""
    sampling = request.sampling
    return {
        **_common(model, request.prompt_ids, sampling),
        "ignore_eos": sampling.ignore_eos,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
    }


def ranking_request(model: str, prompt_ids: tuple[int, ...], count: int) -> dict[str, Any]:
    """The body that asks for the ``count`` most probable tokens after ``prompt_ids``."""
    return {
        **_common(model, prompt_ids, Sampling(max_output_tokens=1)),
        "logprobs": count,
        "return_tokens_as_token_ids": True,
    }


def read_ranking(answer: bytes, count: int) -> tuple[tuple[int, float], ...]:
    """The answer to a :func:`ranking_request`: token ids with their natural log-probabilities, best first.

    Raises:
        EngineError: the server does not name tokens by their ids.
    """
    try:
        entries = msgspec.json.decode(answer, type=_Ranked).choices[0].logprobs.top_logprobs[0].items()
        ranked = [(int(token.removeprefix(_TOKEN_ID)), logprob) for token, logprob in entries]
    except (msgspec.DecodeError, ValueError, IndexError) as error:
        raise EngineError(
            f"The server's log-probabilities cannot be read: {error}.", "Use a vLLM server of a supported version."
        ) from error
    return tuple(sorted(ranked, key=lambda row: (-row[1], row[0]))[:count])


class StreamedAnswer:
    """One streamed answer, read event by event and checked at its end.

    Args:
        request: what was asked.
        draft_length: K of the pair, or ``None`` for the target alone: what the server must speculate with.
    """

    def __init__(self, request: Request, draft_length: int | None) -> None:
        self._request = request
        self._draft_length = draft_length
        self._emitted: list[int] = []
        self._finish_reason: str | None = None
        self._usage: _Usage | None = None
        self._metrics: Mapping[str, Any] | None = None
        self._complete = False

    def read(self, data: bytes) -> tuple[int, ...]:
        """The tokens that an event brings; none for those that bring something else.

        Raises:
            EngineError: an event that says the server failed, or that is none of a completion's.
        """
        if data == _DONE:
            self._complete = True
            return ()
        try:
            chunk = _CHUNKS.decode(data)
        except msgspec.DecodeError as error:
            raise self._error(f"is not in vLLM's format: {error}") from error
        if chunk.error is not None or chunk.object == "error":
            raise ServerDownError(
                f"The server failed at the request {self._request.request_id}: {error_message(data)}",
                "Its own log says why.",
            )
        self._usage = chunk.usage or self._usage
        if chunk.metrics is not None:
            self._metrics = chunk.metrics.speculative_decoding
        if not chunk.choices:
            return ()
        choice = chunk.choices[0]
        if choice.token_ids is None:
            raise self._error("has no token ids: it knows no return_token_ids")
        self._finish_reason = choice.finish_reason or self._finish_reason
        if choice.token_ids:
            self._emitted.append(len(choice.token_ids))
        return tuple(choice.token_ids)

    def finish(self) -> Finish:
        """The end of the request, once all events were read.

        Raises:
            EngineError: the answer broke off, was not to this prompt, lost tokens, or came of another draft length.
        """
        if not self._complete or self._finish_reason is None or self._usage is None:
            raise ServerDownError(
                f"The answer to the request {self._request.request_id} broke off after {sum(self._emitted)} tokens.",
                "The server's own log says why.",
            )
        self._check_usage(self._usage)
        limit = self._request.sampling.max_output_tokens
        if self._finish_reason == "length" and sum(self._emitted) < limit:
            raise self._error(f"was cut at {sum(self._emitted)} of {limit} tokens: the server has a limit of its own")
        if self._finish_reason not in ("stop", "length"):
            raise self._error(f"ended with {self._finish_reason!r}")
        return Finish(cast("FinishReason", self._finish_reason), self._acceptance())

    def _check_usage(self, usage: _Usage) -> None:
        sent, emitted = len(self._request.prompt_ids), sum(self._emitted)
        if usage.prompt_tokens != sent:
            raise self._error(f"is to a prompt of {usage.prompt_tokens} tokens, and {sent} were sent")
        if usage.completion_tokens != emitted:
            raise self._error(f"has {usage.completion_tokens} tokens by its own count, and {emitted} arrived")

    def _acceptance(self) -> AcceptanceRecord | None:
        if self._metrics is None:
            return None
        record = acceptance_record(self._metrics, self._emitted, sum(self._emitted))
        check_draft_length(record.draft_length, self._draft_length)
        return record

    def _error(self, words: str) -> EngineError:
        return EngineError(
            f"The server's answer to the request {self._request.request_id} {words}.",
            "Use a vLLM server of a supported version, without anything in between that changes requests.",
        )


def check_draft_length(served: int | None, wanted: int | None) -> None:
    """The server speculates as the pair says. Both are draft lengths, or ``None`` for no speculation.

    Raises:
        EngineError: it does not.
    """
    if served == wanted:
        return
    found = "without a drafter" if served is None else f"with a draft length of {served}"
    asked = "no drafter" if wanted is None else f"a draft length of {wanted}"
    raise EngineError(
        f"The server decodes {found}, and the pair has {asked}.",
        "Correct the pair, or start the server with the drafter that is to be measured.",
    )


def _common(model: str, prompt_ids: tuple[int, ...], sampling: Sampling) -> dict[str, Any]:
    # Everything is said, since the server would fill in the model's own defaults.
    return {
        "model": model,
        "prompt": list(prompt_ids),
        "max_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": None if sampling.greedy else sampling.seed,
    }
