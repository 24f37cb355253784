"""SGLang's own request and answer, the same in its process and behind its ``/generate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Finish, FinishReason, Request
from pytest_speedbench.engines.counts import count, counts
from pytest_speedbench.engines.sglang.record import DraftShape, acceptance_record
from pytest_speedbench.errors import EngineError

_FINISHED: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


def sampling_params(sampling: Sampling) -> dict[str, Any]:
    """Sampling in SGLang's words. Everything is said, since a server may have defaults of its own."""
    return {
        "max_new_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "ignore_eos": sampling.ignore_eos,
        # Only with enable_deterministic_inference does SGLang draw by it.
        "sampling_seed": None if sampling.greedy else sampling.seed,
    }


def question(prompt_ids: tuple[int, ...], **logprobs: Any) -> dict[str, Any]:
    """A request for one token, whose answer says what ``logprobs`` asks for."""
    return {
        "input_ids": list(prompt_ids),
        "sampling_params": sampling_params(Sampling(max_output_tokens=1)),
        "return_logprob": True,
        **logprobs,
    }


def read_ranking(answer: Mapping[str, Any], count: int) -> tuple[tuple[int, float], ...]:
    """The most probable first tokens of an answer that was asked for ``top_logprobs_num``, with log-probabilities.

    Raises:
        EngineError: they are not in it.
    """
    try:
        ranked = [(int(token), float(logprob)) for logprob, token, *_ in answer["meta_info"]["output_top_logprobs"][0]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _unreadable("log-probabilities", error) from error
    return tuple(sorted(ranked, key=lambda row: (-row[1], row[0]))[:count])


def read_prompt(answer: Mapping[str, Any]) -> tuple[int, ...]:
    """The prompt that an answer was given to, if it was asked for ``logprob_start_len=0``.

    Raises:
        EngineError: it is not in it.
    """
    try:
        return tuple(int(token) for _, token, *_ in answer["meta_info"]["input_token_logprobs"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("input_token_logprobs", error) from error


class StreamedAnswer:
    """One streamed answer, read chunk by chunk and checked at its end.

    A chunk's token ids are all so far or the new ones only, by the engine's ``incremental_streaming_output``; how many
    there are by now is in its ``meta_info`` either way.

    Args:
        request: what was asked.
        shape: how the engine drafts; ``None`` for the target alone.
    """

    def __init__(self, request: Request, shape: DraftShape | None) -> None:
        self._request = request
        self._shape = shape
        self._emitted = 0
        self._meta: Mapping[str, Any] = {}

    @property
    def finished(self) -> bool:
        """Whether the last chunk was read."""
        return bool(self._meta.get("finish_reason"))

    def read(self, chunk: Mapping[str, Any]) -> tuple[int, ...]:
        """The tokens that a chunk brings.

        Raises:
            EngineError: tokens are missing, or it is none of SGLang's chunks.
        """
        try:
            meta, token_ids = chunk["meta_info"], chunk["output_ids"]
            new = count(meta["completion_tokens"], "completion_tokens") - self._emitted
            last = counts(token_ids[len(token_ids) - new :], "output_ids") if 0 <= new <= len(token_ids) else None
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable("answer", error) from error
        if last is None:
            raise self._error(f"brings {len(token_ids)} token ids where its own count says {new}")
        self._meta = meta
        self._emitted += new
        return last

    def finish(self) -> Finish:
        """The end of the request, once its last chunk was read.

        Raises:
            EngineError: SGLang gave it up, answered another prompt, or its counts contradict themselves.
        """
        reason: Mapping[str, Any] = self._meta["finish_reason"]
        kind = str(reason.get("type"))
        if kind not in _FINISHED:
            words = reason.get("message") or "it does not say why"
            raise EngineError(
                f"SGLang ended the request {self._request.request_id} with {kind!r}: {words}.", "Its log says more."
            )
        sent, read = len(self._request.prompt_ids), self._meta.get("prompt_tokens")
        if read != sent:
            raise self._error(f"is to a prompt of {read} tokens, and {sent} were sent")
        limit = self._request.sampling.max_output_tokens
        if kind == "length" and self._emitted < limit:
            raise self._error(f"was cut at {self._emitted} of {limit} tokens: SGLang has a limit of its own")
        return Finish(
            reason=_FINISHED[kind],
            acceptance=acceptance_record(self._meta, self._shape, self._emitted) if self._shape else None,
            preemptions=self._meta.get("num_retractions"),
        )

    def _error(self, words: str) -> EngineError:
        return EngineError(
            f"SGLang's answer to the request {self._request.request_id} {words}.",
            "Use a supported version of SGLang, without anything in between that changes requests.",
        )


def _unreadable(what: str, error: Exception) -> EngineError:
    return EngineError(f"SGLang's {what} cannot be read: {error!r}.", "Use a supported version of SGLang.")
