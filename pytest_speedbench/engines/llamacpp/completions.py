"""``/completion``: a request of ours in the server's words, and its streamed answer back in ours."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Emission, Finish, FinishReason, Request
from pytest_speedbench.engines.http.client import ServerDownError, error_message
from pytest_speedbench.engines.llamacpp.record import StepLog, TokenEvent
from pytest_speedbench.errors import EngineError

PATH = "/completion"
_REASONS: dict[str, FinishReason] = {"eos": "stop", "limit": "length"}


class _Timings(msgspec.Struct):
    draft_n: int = 0
    draft_n_accepted: int = 0


class _Chunk(msgspec.Struct):
    tokens: list[int] = []
    stop: bool = False
    stop_type: str | None = None
    tokens_predicted: int = 0
    tokens_evaluated: int = 0
    timings: _Timings | None = None
    error: Any = None


class _Likely(msgspec.Struct):
    id: int
    logprob: float


class _Position(msgspec.Struct):
    top_logprobs: list[_Likely]


class _Ranked(msgspec.Struct):
    completion_probabilities: list[_Position]


_CHUNKS = msgspec.json.Decoder(_Chunk)


def streamed_request(request: Request) -> dict[str, Any]:
    """The body that has ``request`` decoded and streamed as token ids, with the counters of every step."""
    return {
        **_common(request.prompt_ids, request.sampling),
        "ignore_eos": request.sampling.ignore_eos,
        "stream": True,
        "return_tokens": True,
        "timings_per_token": True,
    }


def ranking_request(prompt_ids: tuple[int, ...], count: int) -> dict[str, Any]:
    """The body that asks for the ``count`` most probable tokens after ``prompt_ids``."""
    return {**_common(prompt_ids, Sampling(max_output_tokens=1)), "n_probs": count}


def reading_request(prompt_ids: tuple[int, ...], slot: int) -> dict[str, Any]:
    """The body that has ``prompt_ids`` read by one of the server's slots, and nothing decoded."""
    return {**_common(prompt_ids, Sampling(max_output_tokens=1)), "n_predict": 0, "id_slot": slot}


def read_ranking(answer: bytes, count: int) -> tuple[tuple[int, float], ...]:
    """The answer to a :func:`ranking_request`: token ids with their natural log-probabilities, best first.

    Raises:
        EngineError: it has none.
    """
    try:
        likely = msgspec.json.decode(answer, type=_Ranked).completion_probabilities[0].top_logprobs
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError) as error:
        raise EngineError(
            f"The server's log-probabilities cannot be read: {error}.", "Use a llama-server of a supported build."
        ) from error
    ranked = sorted(((entry.id, entry.logprob) for entry in likely), key=lambda row: (-row[1], row[0]))
    return tuple(ranked[:count])


class StreamedAnswer:
    """One streamed answer, read event by event and checked at its end.

    Args:
        request: what was asked.
        draft_length: K of the pair, or ``None`` for the target alone.
    """

    def __init__(self, request: Request, draft_length: int | None) -> None:
        self._request = request
        self._log = StepLog(draft_length)
        self._end: _Chunk | None = None

    def read(self, data: bytes, at_s: float) -> Emission | None:
        """The emission that an event completes, if it completes one.

        Raises:
            EngineError: an event that says the server failed, that is no completion's, or after tokens that were lost.
        """
        try:
            chunk = _CHUNKS.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._error(f"is not in llama.cpp's format: {error}") from error
        if chunk.error is not None:
            raise ServerDownError(
                f"The server failed at the request {self._request.request_id}: {error_message(data)}",
                "Its own log says why.",
            )
        if chunk.stop:
            self._check_whole(chunk)
            self._end = chunk
            return self._log.rest()
        if not chunk.tokens:
            return None
        timings = chunk.timings
        proposed, accepted = (None, 0) if timings is None else (timings.draft_n, timings.draft_n_accepted)
        emission = self._log.add(TokenEvent(chunk.tokens[0], at_s, proposed, accepted))
        self._check_whole(chunk)
        return emission

    def finish(self) -> Finish:
        """The end of the request, once all events were read.

        Raises:
            EngineError: the answer broke off, was not to this prompt, or was cut elsewhere.
        """
        end, emitted = self._end, self._log.emitted_tokens
        if end is None:
            raise ServerDownError(
                f"The answer to the request {self._request.request_id} broke off after {emitted} tokens.",
                "The server's own log says why.",
            )
        sent, limit = len(self._request.prompt_ids), self._request.sampling.max_output_tokens
        if end.tokens_evaluated != sent:
            raise self._error(f"is to a prompt of {end.tokens_evaluated} tokens, and {sent} were sent")
        reason = _REASONS.get(end.stop_type or "")
        if reason is None:
            raise self._error(f"ended with {end.stop_type!r}")
        if reason == "length" and emitted < limit:
            raise self._error(f"was cut at {emitted} of {limit} tokens: the server has a limit of its own")
        return Finish(reason, self._log.record())

    def _check_whole(self, chunk: _Chunk) -> None:
        if chunk.tokens_predicted != self._log.emitted_tokens:
            raise EngineError(
                f"Of {chunk.tokens_predicted} tokens of the answer to the request {self._request.request_id}, "
                f"{self._log.emitted_tokens} arrived: llama-server keeps back those that end within a character.",
                "Start it with --override-kv tokenizer.ggml.model=str:llama if the model's tokenizer is a byte-level "
                "one; with others it cannot be measured on such text.",
            )

    def _error(self, words: str) -> EngineError:
        return EngineError(
            f"The server's answer to the request {self._request.request_id} {words}.",
            "Use a llama-server of a supported build, without anything in between that changes requests.",
        )


def _common(prompt_ids: tuple[int, ...], sampling: Sampling) -> dict[str, Any]:
    # Everything is said, since the server would fill in defaults of its own: it samples by top-k and min-p, and cuts
    # by top-p before the temperature.
    return {
        "prompt": list(prompt_ids),
        "n_predict": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "samplers": ["temperature", "top_p"],
        "seed": sampling.seed,
        "cache_prompt": False,
    }
