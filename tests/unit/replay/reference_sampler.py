"""Speculative sampling by rejection, of a toy target and a toy drafter: what the maths is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, VerifyStep
from pytest_speedbench.engines.replay.expected import Floats


@dataclass
class Decoded:
    """One request as it came out.

    Attributes:
        tokens: emitted, what was verified past the end and some more after it included.
        steps: those that began before the end.
    """

    tokens: list[int]
    steps: list[VerifyStep] = field(default_factory=list)

    def record(self, output_tokens: int, draft_length: int) -> AcceptanceRecord:
        """What an engine that was asked for so many tokens counts."""
        emitted = 1 + sum(step.accepted_tokens + 1 for step in self.steps)
        return AcceptanceRecord.from_steps(
            self.steps,
            draft_length=draft_length,
            discarded_tokens=emitted - output_tokens,
            source=AcceptanceSource.REPLAY,
        )


@dataclass
class ToySampler:
    """Two Markov chains over a few tokens.

    Attributes:
        target: p, probabilities of the next token by the last one, [V, V].
        drafter: q, likewise.
        random: where draws come from.
    """

    target: Floats
    drafter: Floats
    random: np.random.Generator

    def decode(self, first: int, output_tokens: int, draft_length: int) -> Decoded:
        """Decode after the token ``first`` until K tokens past the end are there."""
        decoded = Decoded([self._draw(self.target[first])])
        while len(decoded.tokens) < output_tokens + draft_length:
            begun = len(decoded.tokens)
            accepted = self._step(decoded.tokens, draft_length)
            if begun < output_tokens:
                decoded.steps.append(VerifyStep(draft_length, accepted))
        return decoded

    def _step(self, tokens: list[int], draft_length: int) -> int:
        draft = [tokens[-1]]
        for _ in range(draft_length):
            draft.append(self._draw(self.drafter[draft[-1]]))
        for accepted, (last, drafted) in enumerate(pairwise(draft)):
            p, q = self.target[last], self.drafter[last]
            if self.random.random() * q[drafted] >= p[drafted]:
                residual = np.maximum(p - q, 0)
                tokens.append(self._draw(residual / residual.sum()))
                return accepted
            tokens.append(drafted)
        tokens.append(self._draw(self.target[tokens[-1]]))
        return draft_length

    def _draw(self, probabilities: Floats) -> int:
        return int(self.random.choice(len(probabilities), p=probabilities))

    def acceptance(self, tokens: list[int]) -> Floats:
        """min(1, q / p) of tokens 1, 2, …"""
        pairs = pairwise(tokens)
        return np.array([min(1.0, self.drafter[pair] / self.target[pair]) for pair in pairs])
