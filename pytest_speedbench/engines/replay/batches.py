"""Texts of similar length side by side, as many as the memory is to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

MOST_SCORES = 1 << 26
"""Scores, of attention or of the vocabulary, that are in memory at a time."""


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Places in groups of similar length, each of at most so many tokens when padded, or of one place."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if group and (len(group) + 1) * lengths[place] > batch_tokens:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def padded(texts: Sequence[tuple[int, ...]], device: torch.device) -> Tensor:
    """Token ids [texts, longest]; the padding stands after the text, where no token of it attends to."""
    longest = max(map(len, texts))
    return torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)


def best_tokens(best: Callable[[Tensor], Tensor], states: Tensor, vocab_size: int) -> Tensor:
    """The most probable tokens [states], where ``best`` gives those of a part and needs scores of the vocabulary."""
    return torch.cat([best(part) for part in states.split(max(1, MOST_SCORES // vocab_size))])  # type: ignore[no-untyped-call]
