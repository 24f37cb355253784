"""Counters that come with every token become verify steps, emissions and the acceptance record."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.engines.base import Emission
from pytest_speedbench.errors import EngineError

_REPORT = "Report it with the build of llama-server and the request's settings."


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One streamed token.

    Attributes:
        token_id: of the token.
        at_s: ``time.perf_counter()`` when it arrived, in seconds.
        proposed_tokens: draft tokens of the request up to and with the step that this token is of; ``None`` when the
            server sends no counters with its tokens.
        accepted_tokens: those of them that were accepted, likewise.
    """

    token_id: int
    at_s: float
    proposed_tokens: int | None
    accepted_tokens: int


class StepLog:
    """Puts the tokens of one request together by decode step.

    The server counts a step's draft before it emits the step's first token, and emits the tokens of a step one by one.
    A token with more drafts than the one before it therefore begins a verify step, which emits one token more than it
    accepted; a token that is in no such step was decoded without a draft.

    Args:
        draft_length: K of the pair; ``None`` for the target alone.
    """

    def __init__(self, draft_length: int | None) -> None:
        self._draft_length = draft_length
        self._steps: list[VerifyStep] = []
        self._tokens: list[int] = []
        self._began_s = 0.0
        self._outstanding = 0
        self._proposed = self._accepted = 0
        self._emitted = 0
        self._counted = True

    @property
    def emitted_tokens(self) -> int:
        """Tokens so far."""
        return self._emitted

    def add(self, event: TokenEvent) -> Emission | None:
        """Take a token; returns its step's tokens when they are complete, at the time of the first of them.

        Raises:
            EngineError: the counters contradict the tokens.
        """
        if not self._outstanding:
            self._begin(event)
        elif event.proposed_tokens is not None and event.proposed_tokens != self._proposed:
            raise EngineError(
                f"llama-server counts a new draft with {self._outstanding} tokens of the last step still to come.",
                _REPORT,
            )
        self._tokens.append(event.token_id)
        self._emitted += 1
        self._outstanding -= 1
        return self.rest() if not self._outstanding else None

    def rest(self) -> Emission | None:
        """The tokens of a step that was cut off at the end of the sequence; ``None`` if there are none."""
        tokens, self._tokens = tuple(self._tokens), []
        return Emission(tokens, self._began_s) if tokens else None

    def record(self) -> AcceptanceRecord | None:
        """The record of a finished request; ``None`` without a drafter, or if tokens came without counters.

        Raises:
            EngineError: a step proposed more than the draft length, or accepted more than it proposed.
        """
        if self._draft_length is None or not self._counted:
            return None
        try:
            return AcceptanceRecord.from_steps(
                self._steps, draft_length=self._draft_length, discarded_tokens=self._outstanding
            )
        except ValueError as error:
            raise EngineError(f"llama-server's counts of drafts contradict themselves: {error}.", _REPORT) from error

    def _begin(self, event: TokenEvent) -> None:
        self._began_s = event.at_s
        self._outstanding = 1
        if event.proposed_tokens is None:
            self._counted = False
            return
        proposed, accepted = event.proposed_tokens - self._proposed, event.accepted_tokens - self._accepted
        self._proposed, self._accepted = event.proposed_tokens, event.accepted_tokens
        if self._emitted:  # the prefill's token is no decode step
            self._steps.append(VerifyStep(proposed, accepted))
            self._outstanding += accepted
