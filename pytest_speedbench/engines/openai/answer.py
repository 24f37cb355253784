"""One streamed answer: read event by event, checked at its end."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, cast

import msgspec

from pytest_speedbench.engines.base import Emission, FinishReason, Request
from pytest_speedbench.engines.http.client import ServerDownError, error_message
from pytest_speedbench.engines.openai.dialects import Dialect
from pytest_speedbench.engines.openai.payload import CHUNKS, DONE, Choice, Chunk, Timings, Usage
from pytest_speedbench.engines.openai.tokenizer import TargetTokenizer
from pytest_speedbench.errors import EngineError

_NUMBER = re.compile(r"[0-9]{1,18}")
_TOKEN_ID = "token_id:"  # noqa: S105 - how a token is written that is given by its id


class UnreadableError(EngineError):
    """An answer that is not in the dialect in which it was asked for."""


@dataclass(slots=True)
class Reported:
    """What an answer says of drafting, in every dialect, and the tokens of its emissions.

    Attributes:
        step_tokens: tokens of every emission.
        vllm: ``metrics.speculative_decoding``.
        sglang: ``sglext.spec_tokens_details``.
        llamacpp: ``timings`` of every chunk that has them.
        trtllm: ``avg_decoded_tokens_per_iter`` of every emission that has it.
        output_tokens: n by the server's own count; ``None`` before the end.
    """

    step_tokens: list[int] = field(default_factory=list)
    vllm: dict[str, Any] | None = None
    sglang: dict[str, Any] | None = None
    llamacpp: list[Timings] = field(default_factory=list)
    trtllm: list[float] = field(default_factory=list)
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an answer.

    Attributes:
        reason: why it ended.
        rest: emissions that were not known before: of an answer that is tokenized again, all.
        recounted: whether a text that was tokenized again has as many tokens as the server counted.
        answer: the text of a reply whose thought the server gave apart from it; ``None`` if it gave no thought.
    """

    reason: FinishReason
    rest: tuple[Emission, ...] = ()
    recounted: bool = True
    answer: str | None = None


class StreamedAnswer:
    """One streamed answer.

    Args:
        request: what was asked.
        dialect: in which it was asked.
        tokenizer: for an answer's text; ``None`` where ids come with it.
        end_tokens: ids that end a sequence, which an answer's text leaves out.
    """

    def __init__(
        self,
        request: Request,
        dialect: Dialect,
        tokenizer: TargetTokenizer | None = None,
        end_tokens: Sequence[int] = (),
    ) -> None:
        self._request = request
        self._tokens_of = _named_tokens if dialect.output_ids == "logprobs" else _token_ids
        self._templated = dialect.prompt == "templated by the server"
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        self._pieces: list[tuple[str, float]] = []
        self._answer: list[str] = []
        self._thought = False
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._complete = False
        self.reported = Reported()
        self.prompt_read: Sequence[int] | None = None
        """The prompt that the server made of messages, where it says so."""

    def read(self, data: bytes, at_s: float) -> Emission | None:
        """The tokens that an event brings; ``None`` for those that bring something else, or only text.

        Raises:
            ServerDownError: an event that says the server failed.
            UnreadableError: an event that is none of a completion's, or has no ids.
        """
        if data == DONE:
            self._complete = True
            return None
        try:
            chunk = CHUNKS.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreadable(f"is not in a completion's format: {error}") from error
        if chunk.error is not None or chunk.object == "error":
            raise ServerDownError(
                f"The server failed at the request {self._request.request_id}: {error_message(data)}",
                "Its own log says why.",
            )
        self._note(chunk)
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        self._finish_reason = choice.finish_reason or self._finish_reason
        if choice.delta is not None:
            self._answer.append(choice.delta.content or "")
            self._thought |= bool(choice.delta.thought)
        if self._tokenizer is not None:
            self._pieces.append((choice.added, at_s))
            return None
        tokens = self._tokens_of(choice)
        if tokens is None:
            raise self._unreadable("has no token ids")
        if not tokens:
            return None
        self.reported.step_tokens.append(len(tokens))
        if choice.avg_decoded_tokens_per_iter:
            self.reported.trtllm.append(choice.avg_decoded_tokens_per_iter)
        return Emission(tokens, at_s)

    def end(self) -> Ended:
        """The end of the answer, once all events were read.

        Raises:
            ServerDownError: the answer broke off.
            EngineError: it was not to this prompt, lost tokens, or ended for a reason that is none of the request's.
        """
        emitted = sum(self.reported.step_tokens)
        if not self._complete or self._finish_reason is None:
            raise ServerDownError(
                f"The answer to the request {self._request.request_id} broke off after {emitted} tokens.",
                "The server's own log says why.",
            )
        if self._finish_reason not in ("stop", "length"):
            raise self._error(f"ended with {self._finish_reason!r}")
        reason = cast("FinishReason", self._finish_reason)
        if self._usage is None:
            raise self._unreadable("does not say how many tokens its prompt had: it has no usage")
        self.reported.output_tokens = self._usage.completion_tokens
        rest, recounted = self._retokenized(self._usage.completion_tokens, reason)
        emitted = sum(self.reported.step_tokens)
        sent, limit = len(self._request.prompt_ids), self._request.sampling.max_output_tokens
        if self._usage.prompt_tokens != sent and not self._templated:
            raise self._unreadable(f"is to a prompt of {self._usage.prompt_tokens} tokens, and {sent} were sent")
        if self._tokenizer is None and self._usage.completion_tokens != emitted:
            raise self._unreadable(
                f"has {self._usage.completion_tokens} tokens by its own count, and {emitted} arrived"
            )
        if self._usage.completion_tokens > limit:
            raise self._unreadable(f"has {self._usage.completion_tokens} tokens, and at most {limit} were asked")
        if reason == "length" and self._usage.completion_tokens < limit:
            raise self._error(
                f"was cut at {self._usage.completion_tokens} of {limit} tokens: the server has a limit of its own"
            )
        return Ended(reason, rest, recounted, "".join(self._answer) if self._thought else None)

    def _note(self, chunk: Chunk) -> None:
        self._usage = chunk.usage or self._usage
        if self._templated:
            self.prompt_read = chunk.prompt_token_ids or self.prompt_read
        if chunk.metrics is not None:
            self.reported.vllm = chunk.metrics.speculative_decoding
        if chunk.sglext is not None:
            self.reported.sglang = chunk.sglext.spec_tokens_details
        if chunk.timings is not None:
            self.reported.llamacpp.append(chunk.timings)

    def _retokenized(self, counted: int, reason: FinishReason) -> tuple[tuple[Emission, ...], bool]:
        """Emissions of an answer that came as text, each token with the piece that brought its last character."""
        if self._tokenizer is None:
            return (), True
        tokens = self._tokenizer.encode("".join(text for text, _ in self._pieces))
        arrived = list(accumulate(len(text) for text, _ in self._pieces))
        by_piece: list[list[int]] = [[] for _ in self._pieces]
        for token, end in zip(tokens.ids, tokens.ends, strict=True):
            by_piece[bisect_left(arrived, end)].append(token)
        if reason == "stop" and self._end_tokens and len(tokens.ids) == counted - 1:
            by_piece[-1].append(self._end_tokens[0])
        rest = tuple(Emission(tuple(ids), at_s) for ids, (_, at_s) in zip(by_piece, self._pieces, strict=True) if ids)
        self.reported.step_tokens = [len(emission.token_ids) for emission in rest]
        return rest, sum(self.reported.step_tokens) == counted

    def _unreadable(self, words: str) -> UnreadableError:
        return UnreadableError(
            f"The server's answer to the request {self._request.request_id} {words}.",
            "Use a server that takes and gives token ids, with nothing in between that changes them.",
        )

    def _error(self, words: str) -> EngineError:
        return EngineError(
            f"The server's answer to the request {self._request.request_id} {words}.", "The server's own log says why."
        )


def _token_ids(choice: Choice) -> tuple[int, ...] | None:
    """The ids that came beside the text; ``None`` if there is only text."""
    if choice.token_ids is None:
        return None if choice.added else ()
    return tuple(choice.token_ids)


def _named_tokens(choice: Choice) -> tuple[int, ...] | None:
    """The ids by which log-probabilities name their tokens; ``None`` if there is only text."""
    names = choice.logprobs.tokens if choice.logprobs is not None else None
    if names is None:
        return None if choice.added else ()
    numbers = [name.removeprefix(_TOKEN_ID) for name in names]
    if not all(
        name.startswith(_TOKEN_ID) and _NUMBER.fullmatch(number) for name, number in zip(names, numbers, strict=True)
    ):
        return None
    return tuple(map(int, numbers))
