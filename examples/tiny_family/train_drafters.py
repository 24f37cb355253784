"""Stages ``draft`` and ``eagle3``: both drafters learn the target's own next-token distributions (soft labels)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from examples.tiny_family.data import EncodedCorpus, batches
from examples.tiny_family.eagle3 import Eagle3Head
from examples.tiny_family.model import Llama
from examples.tiny_family.recipe import DRAFT_LENGTH, DRAFT_SHAPE, EAGLE3_SHAPE, Recipe
from examples.tiny_family.training import Training, compiled

if TYPE_CHECKING:
    from pathlib import Path

LATER_STEP_DISCOUNT = 0.8
"""Each further draft step of the head weighs this much less: it matters only if the earlier ones were right."""


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy against the teacher's distribution; logits are [..., vocabulary]."""
    losses = -(teacher_logits.float().softmax(-1) * logits.float().log_softmax(-1)).sum(-1)
    return (losses * weights).sum() / weights.sum()


def train_draft(target: Llama, corpus: EncodedCorpus, recipe: Recipe, seed: int, folder: Path) -> Llama:
    """Distil the independent draft model from ``target``."""
    torch.manual_seed(seed + 1)
    draft = Llama(DRAFT_SHAPE)
    target.requires_grad_(False)

    def loss(ids: Tensor, weights: Tensor) -> Tensor:
        inputs = ids[:, :-1]
        with torch.no_grad():
            teacher = target.logits(target(inputs))
        return soft_cross_entropy(draft.logits(draft(inputs)), teacher, weights)

    Training("draft", draft, compiled(loss), batches(corpus, seed + 1), recipe.draft, folder).run()
    return draft


def train_eagle3(target: Llama, corpus: EncodedCorpus, recipe: Recipe, seed: int, folder: Path) -> Eagle3Head:
    """Train the head with its own states fed forward for K steps, as it will be used."""
    torch.manual_seed(seed + 2)
    head = Eagle3Head(EAGLE3_SHAPE)
    for parameter in head.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.02)
    head.lm_head.weight.data.copy_(target.model.embed_tokens.weight.data)
    target.requires_grad_(False)

    def loss(ids: Tensor, weights: Tensor) -> Tensor:
        with torch.no_grad():
            streams = target.model(ids)
            teacher = target.logits(target.model.norm(streams[-1]))
            embeddings = streams[0][:, 1:]
        slots = weights.shape[1] - DRAFT_LENGTH
        # The vocabulary-wide losses cost most of the time, and the head drafts only in answers: take the heavier half.
        chosen = weights[:, 1 : 1 + slots].flatten().topk(ids.shape[0] * slots // 2).indices
        total = torch.zeros(())
        fused = head.fuse([stream[:, :slots] for stream in streams])
        for step, normed in enumerate(head.draft_states(fused, embeddings)):
            shifted = slice(step + 1, step + 1 + slots)
            kept_teacher, kept_weights = (x[:, shifted].flatten(0, 1)[chosen] for x in (teacher, weights))
            step_loss = soft_cross_entropy(head.logits(normed.flatten(0, 1)[chosen]), kept_teacher, kept_weights)
            total = total + step_loss * LATER_STEP_DISCOUNT**step
        return total

    Training("eagle3", head, compiled(loss), batches(corpus, seed + 2), recipe.eagle3, folder).run()
    return head
