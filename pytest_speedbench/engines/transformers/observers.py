"""The two observers of transformers' decoding loop: one counts what is drafted and accepted, one reads what comes out.

Neither changes which tokens are chosen. The loop itself is not told of the output limit nor of end-of-sequence tokens:
it would cut its counts there, while an engine verifies a whole draft and cuts the output afterwards. So the limits are
kept here, and what was verified beyond them is known exactly, sampled or not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria
from transformers.generation.candidate_generator import CandidateGenerator

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.engines.base import Emission


class Output(StoppingCriteria):
    """Reads the loop's tokens after every step, emits them, and says when to stop.

    Args:
        prompt_tokens: length of the prompt, which is not output.
        limit_tokens: most tokens to emit.
        eos_token_ids: ids that end the output, themselves emitted; empty to go on to the limit.
        emit: takes every emission, in this thread.
        cancelled: set by another thread to stop at the next step.

    Attributes:
        emitted_tokens: tokens emitted so far.
        discarded_tokens: tokens verified in the last step beyond an end-of-sequence token or the limit.
        ended: whether an end-of-sequence token was emitted.
    """

    def __init__(
        self,
        prompt_tokens: int,
        limit_tokens: int,
        eos_token_ids: frozenset[int],
        emit: Callable[[Emission], None],
        cancelled: threading.Event,
    ) -> None:
        self._read = prompt_tokens
        self._limit = limit_tokens
        self._eos = eos_token_ids
        self._emit = emit
        self._cancelled = cancelled
        self.emitted_tokens = 0
        self.discarded_tokens = 0
        self.ended = False

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Any:  # noqa: ARG002
        """Emit what is new in ``input_ids`` [1, length]; true once the request is at its end."""
        tokens: list[int] = input_ids[0, self._read :].tolist()
        at_s = perf_counter()
        self._read += len(tokens)
        if not self._cancelled.is_set():
            kept = self._cut(tokens)
            self.emitted_tokens += len(kept)
            self.discarded_tokens += len(tokens) - len(kept)
            self._emit(Emission(tuple(kept), at_s))
        done = self.ended or self.emitted_tokens == self._limit or self._cancelled.is_set()
        return torch.full((1,), done, dtype=torch.bool, device=input_ids.device)

    def _cut(self, tokens: list[int]) -> list[int]:
        kept = tokens[: self._limit - self.emitted_tokens]
        for place, token in enumerate(kept):
            if token in self._eos:
                self.ended = True
                return kept[: place + 1]
        return kept


class Recorder(CandidateGenerator):
    """Wraps a drafter for one request and counts its verify steps.

    The prefill carries no draft for any method, and at the end of a sequence drafts stay whole, as in other engines:
    only the end of the context shortens them.

    Args:
        drafter: proposes the candidates.
        draft_length: K.
        context_tokens: the longest sequence; no draft reaches beyond it.
    """

    requires_model_outputs = True

    def __init__(self, drafter: CandidateGenerator, draft_length: int, context_tokens: int) -> None:
        self._drafter = drafter
        self._draft_length = draft_length
        self._context = context_tokens
        self._proposed: int | None = None
        self.steps: list[VerifyStep] = []
        self.model_kwargs_overrides: dict[str, Any] = (
            dict(drafter.model_kwargs_overrides) if drafter.requires_model_outputs else {}  # type: ignore[attr-defined]
        )

    def get_candidates(self, input_ids: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        """The drafter's candidates after ``input_ids`` [1, length]; nothing before the prefill."""
        if kwargs["is_first_iteration"]:
            return input_ids, None
        candidates, logits = self._drafter.get_candidates(input_ids, **kwargs)
        verified = input_ids.shape[1]
        # One place stays free for the bonus token.
        room = max(0, min(self._draft_length, self._context - verified - 1))
        self._proposed = min(candidates.shape[1] - verified, room)
        if self._proposed == 0:
            return input_ids, None
        return candidates[:, : verified + self._proposed], None if logits is None else logits[:, : self._proposed]

    def update_candidate_strategy(self, input_ids: Any, scores: Any, num_matches: int) -> None:
        """Take down the step that was just verified."""
        if self._proposed is None:
            return
        self.steps.append(VerifyStep(self._proposed, int(num_matches)))
        self._drafter.update_candidate_strategy(input_ids, scores, num_matches)

    def record(self, discarded_tokens: int) -> AcceptanceRecord:
        """The request's acceptance; ``discarded_tokens`` were verified but not emitted."""
        return AcceptanceRecord.from_steps(
            self.steps, draft_length=self._draft_length, discarded_tokens=discarded_tokens
        )


class DrafterSeam:
    """Makes a target's assisted decoding use one recorder: the only private place of transformers this engine touches.

    ``generate`` asks the model itself for its candidate generator; there is no public way to hand over one's own.
    """

    def __init__(self, target: Any) -> None:
        self._target = target

    def install(self, make: Callable[[Any], CandidateGenerator]) -> None:
        """Let ``make`` give the candidate generator; it gets the loop's generation config."""

        def get_candidate_generator(*, generation_config: Any, **_: object) -> CandidateGenerator:
            return make(generation_config)

        self._target._get_candidate_generator = get_candidate_generator  # noqa: SLF001
