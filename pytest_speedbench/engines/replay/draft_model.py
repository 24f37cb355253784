"""An independent draft model replayed: one forward pass over prompts and outputs gives every draft at once.

Draft k + 1 matters only where drafts 1 … k were accepted, and those are then the stored tokens: what the model drafts
after reading them is what it drafted. So the accepted tokens after a place are the run of right guesses that begins
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.batches import batches, padded
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.outputs import StoredOutput


def draft_model_reaches(
    model: Any, outputs: Sequence[StoredOutput], draft_length: int, batch_tokens: int
) -> list[Reach]:
    """What a draft model would have had accepted of every output.

    Args:
        model: a transformers causal language model with the target's vocabulary.
        outputs: what the target put out.
        draft_length: K.
        batch_tokens: tokens read at a time, padding included: what bounds the memory.
    """
    texts = [stored.prompt_ids + stored.continued for stored in outputs]
    runs: dict[int, list[int]] = {}
    for places in batches([len(text) for text in texts], batch_tokens):
        ids = padded([texts[place] for place in places], model.device)
        with torch.inference_mode():
            guesses = model(input_ids=ids, use_cache=False).logits.argmax(dim=-1)
        right = (guesses[:, :-1] == ids[:, 1:]).tolist()
        for row, place in enumerate(places):
            first, last = len(outputs[place].prompt_ids), len(texts[place]) - 1
            runs[place] = _runs(right[row][first:last])
    return [_reach(runs[place], draft_length) for place in range(len(outputs))]


def _runs(right: Sequence[bool]) -> list[int]:
    """For every place how many right guesses follow each other from there."""
    counts = [0] * (len(right) + 1)
    for place in range(len(right) - 1, -1, -1):
        counts[place] = counts[place + 1] + 1 if right[place] else 0
    return counts


def _reach(runs: Sequence[int], draft_length: int) -> Reach:
    return lambda place: VerifyStep(draft_length, min(runs[place], draft_length))
