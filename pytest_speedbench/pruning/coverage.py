"""What a draft vocabulary misses: output tokens that a head could never have proposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytest_speedbench.measure.run import Conversation, Run


@dataclass(frozen=True, slots=True)
class OutsideTokens:
    """How many of the target's output tokens a draft vocabulary lacks.

    Every output token counts, each turn's first too, though that one comes from the prefill and is never drafted.
    """

    outside_tokens: int
    output_tokens: int

    @property
    def share(self) -> float | None:
        """The share of output tokens outside of the vocabulary; ``None`` without any output."""
        return self.outside_tokens / self.output_tokens if self.output_tokens else None


def outside_by_category(run: Run, vocabulary: NDArray[np.int64]) -> dict[str, OutsideTokens]:
    """For each category of a run, the output tokens that are not among the target ids ``vocabulary``."""
    return {category: outside_of(run.in_category(category), vocabulary) for category in run.categories}


def outside_of(conversations: Iterable[Conversation], vocabulary: NDArray[np.int64]) -> OutsideTokens:
    """The same for these conversations together: tokens are pooled, so long answers weigh more."""
    output = [turn.output_ids for conversation in conversations for turn in conversation.turns]
    tokens = np.concatenate([np.asarray(ids, np.int64) for ids in output]) if output else np.empty(0, np.int64)
    return OutsideTokens(int(np.isin(tokens, vocabulary, invert=True).sum()), len(tokens))
