"""Texts of similar length side by side, as many as the memory is to hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


def padded(texts: Sequence[tuple[int, ...]], device: torch.device) -> torch.Tensor:
    """Token ids [texts, longest]; the padding stands after the text, where no token of it attends to."""
    import torch

    longest = max(map(len, texts))
    return torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)
