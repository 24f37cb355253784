"""Stage ``target``: next-token training on the corpus, with repeated random tokens early on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from examples.tiny_family.data import Batch, EncodedCorpus, batches, copying_batch
from examples.tiny_family.model import Llama
from examples.tiny_family.recipe import SHORT_BATCH, TARGET_SHAPE, Recipe
from examples.tiny_family.training import Training, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def train_target(corpus: EncodedCorpus, recipe: Recipe, seed: int, folder: Path) -> Llama:
    """Train the target; checkpoints go to ``folder``."""
    torch.manual_seed(seed)
    target = Llama(TARGET_SHAPE)

    def loss(ids: Tensor, weights: Tensor) -> Tensor:
        logits = target.logits(target(ids[:, :-1])).flatten(0, 1)
        losses = functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="none")
        return (losses * weights.flatten()).sum() / weights.sum()

    Training("target", target, compiled(loss), _mixed(corpus, recipe, seed), recipe.target, folder).run()
    return target


def _mixed(corpus: EncodedCorpus, recipe: Recipe, seed: int) -> Iterator[Batch]:
    generator = np.random.default_rng([seed, 1])
    text = batches(corpus, seed)
    for _ in range(recipe.copy_steps):
        yield copying_batch(SHORT_BATCH, generator) if generator.random() < recipe.copy_share else next(text)
    yield from text
