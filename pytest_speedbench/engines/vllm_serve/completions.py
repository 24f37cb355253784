"""``/v1/completions`` as vLLM has it."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.openai.dialects import Dialect
from pytest_speedbench.engines.vllm.margins import LAST_TOKEN_RANKS, margins_of
from pytest_speedbench.errors import EngineError

DIALECT = Dialect("token_ids", fields={"return_token_ids": True})
_TOKEN_ID = "token_id:"  # noqa: S105 - how the server writes a token that is given by its id


class _TopLogprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float]]


class _RankedChoice(msgspec.Struct):
    logprobs: _TopLogprobs


class _Ranked(msgspec.Struct):
    choices: list[_RankedChoice]


class _Logprob(msgspec.Struct):
    logprob: float


class _ReadChoice(msgspec.Struct):
    logprobs: _TopLogprobs
    prompt_logprobs: list[dict[str, _Logprob] | None]


class _Read(msgspec.Struct):
    choices: list[_ReadChoice]


def ranking_request(model: str, prompt_ids: tuple[int, ...], count: int) -> dict[str, Any]:
    """The body that asks for the ``count`` most probable tokens after ``prompt_ids``."""
    body = DIALECT.request(model, prompt_ids, Sampling(max_output_tokens=1))
    del body["stream"], body["stream_options"]
    return {**body, "logprobs": count, "return_tokens_as_token_ids": True}


def read_ranking(answer: bytes, count: int) -> tuple[tuple[int, float], ...]:
    """The answer to a :func:`ranking_request`: token ids with their natural log-probabilities, best first.

    Raises:
        EngineError: the server does not name tokens by their ids.
    """
    try:
        entries = msgspec.json.decode(answer, type=_Ranked).choices[0].logprobs.top_logprobs[0].items()
        ranked = [(int(token.removeprefix(_TOKEN_ID)), logprob) for token, logprob in entries]
    except (msgspec.DecodeError, ValueError, IndexError) as error:
        raise _unreadable(error) from error
    return tuple(sorted(ranked, key=lambda row: (-row[1], row[0]))[:count])


def margins_request(model: str, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> dict[str, Any]:
    """The body that has a prompt and all but the last of its output tokens read, with log-probabilities."""
    body = ranking_request(model, prompt_ids + output_ids[:-1], LAST_TOKEN_RANKS)
    return {**body, "prompt_logprobs": 2}


def read_margins(answer: bytes, prompt_tokens: int, output_ids: tuple[int, ...]) -> tuple[float, ...] | None:
    """The answer to a :func:`margins_request`: how sure the target was of every output token, in nats.

    Raises:
        EngineError: the server does not give them, or does not name tokens by their ids.
    """
    try:
        choice = msgspec.json.decode(answer, type=_Read).choices[0]
        read = [
            {int(token): entry.logprob for token, entry in (entries or {}).items()}
            for entries in choice.prompt_logprobs[prompt_tokens:]
        ]
        last = choice.logprobs.top_logprobs[0].items()
        return margins_of(output_ids, [*read, {int(token.removeprefix(_TOKEN_ID)): value for token, value in last}])
    except (msgspec.DecodeError, ValueError, IndexError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> EngineError:
    return EngineError(
        f"The server's log-probabilities cannot be read: {error}.", "Use a vLLM server of a supported version."
    )
