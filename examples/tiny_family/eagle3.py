"""The EAGLE-3 head: one decoder layer that reads the target's fused residual streams and the next token's embedding.

Slot i holds the target's streams at position i and the embedding of token i + 1, and predicts token i + 2. To draft
further, the slot's own state before the final norm takes the place of the fused streams, with the embedding of the
token just drafted, one position on; it attends to all slots up to i and to its own earlier draft steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.tiny_family.model import Attention, FeedForward, LlamaShape, RMSNorm, rotary_tables
from examples.tiny_family.recipe import DRAFT_LENGTH, EAGLE3_AUX_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Eagle3Layer(nn.Module):
    """The head's decoder layer; its attention reads embedding and state side by side."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size)
        self.hidden_norm = RMSNorm(shape.hidden_size)
        self.self_attn = Attention(shape, 2 * shape.hidden_size)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size)
        self.mlp = FeedForward(shape)


class Eagle3Head(nn.Module):
    """Parameter names are those of an EAGLE-3 checkpoint; the embedding is the target's and not part of it."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.fc = nn.Linear(len(EAGLE3_AUX_LAYERS) * shape.hidden_size, shape.hidden_size, bias=False)
        self.midlayer = Eagle3Layer(shape)
        self.norm = RMSNorm(shape.hidden_size)
        self.lm_head = nn.Linear(shape.hidden_size, shape.vocab_size, bias=False)

    def fuse(self, streams: list[Tensor]) -> Tensor:
        """The head's first state from the target's residual streams (see ``LlamaBody.forward``)."""
        fused: Tensor = self.fc(torch.cat([streams[layer] for layer in EAGLE3_AUX_LAYERS], dim=-1))
        return fused

    def draft_states(self, state: Tensor, embeddings: Tensor) -> Iterator[Tensor]:
        """Normed states of draft steps 0..K-1, each [batch, slots, hidden], with the true tokens as drafts.

        ``state`` is [batch, slots, hidden]; ``embeddings`` [batch, slots + K - 1, hidden] are those of tokens 1, 2, ….
        Step j at slot i sees token i + 1 + j and predicts token i + 2 + j.
        """
        slots, layer = state.shape[1], self.midlayer
        cos, sin = rotary_tables(slots + DRAFT_LENGTH - 1, self.shape.head_dim)
        future = torch.ones(slots, slots, dtype=torch.bool).triu(1)
        scale = self.shape.head_dim**-0.5
        first_keys: Tensor | None = None
        first_values: Tensor | None = None
        own: list[tuple[Tensor, Tensor]] = []
        for step in range(DRAFT_LENGTH):
            seen = slice(step, step + slots)
            inputs = torch.cat((layer.input_layernorm(embeddings[:, seen]), layer.hidden_norm(state)), dim=-1)
            queries, keys, values = layer.self_attn.project(inputs, cos[seen], sin[seen])
            if first_keys is None or first_values is None:
                first_keys, first_values = keys, values
            else:
                own.append((keys, values))
            scores = (queries @ first_keys.transpose(-1, -2)).masked_fill(future, float("-inf"))
            own_scores = [(queries * own_keys).sum(-1, keepdim=True) for own_keys, _ in own]
            shares = (torch.cat([scores, *own_scores], dim=-1).float() * scale).softmax(-1).to(values.dtype)
            attended = shares[..., :slots] @ first_values
            for index, (_, own_values) in enumerate(own):
                attended = attended + shares[..., slots + index, None] * own_values
            state = state + layer.self_attn.merge(attended)
            state = state + layer.mlp(layer.post_attention_layernorm(state))
            yield self.norm(state)

    def logits(self, normed: Tensor) -> Tensor:
        """Logits over the draft vocabulary."""
        return functional.linear(normed, self.lm_head.weight)
