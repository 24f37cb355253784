"""The rule of vLLM and transformers: what followed the longest last n-gram where it stood first in the text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.outputs import StoredOutput

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FirstMatch:
    """Drafts what followed the last tokens where they stood first, in the prompt or in the output.

    Attributes:
        draft_length: K; a match close to the end of the text gives fewer.
        longest: tokens of the longest n-gram looked up.
        shortest: tokens of the shortest one.
    """

    draft_length: int
    longest: int
    shortest: int

    def reach(self, stored: StoredOutput) -> Reach:
        """What would have been accepted of one request, after every output token at once."""
        text = np.array(stored.prompt_ids + stored.continued, dtype=np.int64)
        lengths = len(stored.prompt_ids) + 1 + np.arange(len(stored.output_ids))
        begins = self._begins(text[: lengths[-1]], lengths)
        proposed = np.where(begins < lengths, np.minimum(lengths - begins, self.draft_length), 0)
        steps = (proposed.tolist(), self._accepted(text, lengths, begins, proposed).tolist())
        return lambda place: VerifyStep(steps[0][place], steps[1][place])

    def _begins(self, text: Ids, lengths: Ids) -> Ids:
        """Where the draft after so many tokens begins; after them if nothing matches."""
        begins: Ids = lengths.copy()
        tokens = np.unique(text, return_inverse=True)[1]
        # Every n-gram is numbered by that of its beginning and its last token, so that numbers stay small.
        grams = np.zeros(len(text) + 1, dtype=np.int64)
        for size in range(1, min(self.longest, len(text)) + 1):
            numbers = grams[:-1] * len(text) + tokens[size - 1 :]
            _, first, grams = np.unique(numbers, return_index=True, return_inverse=True)
            if size >= self.shortest:
                # A number at place e is that of the n-gram that ends before token e + size.
                known = lengths >= size
                before = first[grams[lengths[known] - size]] + size
                begins[known] = np.where(before < lengths[known], before, begins[known])
        return begins

    def _accepted(self, text: Ids, lengths: Ids, begins: Ids, proposed: Ids) -> Ids:
        accepted = np.zeros(len(lengths), dtype=np.int64)
        alive = np.ones(len(lengths), dtype=np.bool_)
        for drafted in range(self.draft_length):
            known = (drafted < proposed) & (lengths + drafted < len(text))
            right = text[np.where(known, begins + drafted, 0)] == text[np.where(known, lengths + drafted, 0)]
            alive &= known & right
            if not alive.any():
                break
            accepted += alive
        return accepted
