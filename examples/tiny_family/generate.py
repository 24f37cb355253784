"""Batched decoding of the target with a key-value cache, for training drafters on its answers and for measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from examples.tiny_family.tokenizer import PAD_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.tiny_family.model import Llama


@torch.inference_mode()
def generate(
    target: Llama, prompts: Sequence[Sequence[int]], new_tokens: int, temperature: float = 0.0, seed: int = 0
) -> list[list[int]]:
    """Exactly ``new_tokens`` tokens after each prompt, without stopping at the end mark: the caller cuts.

    Prompts are padded on the left, masked, and counted from position 0 at their own first token. ``temperature`` 0 is
    greedy.
    """
    generator = torch.Generator().manual_seed(seed)
    longest = max(len(prompt) for prompt in prompts)
    room = longest + new_tokens
    ids = torch.tensor([[PAD_ID] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    pads = torch.tensor([longest - len(prompt) for prompt in prompts])
    shape = target.shape
    cache = [
        torch.zeros(2, len(prompts), shape.heads, room, shape.head_dim, dtype=target.model.norm.weight.dtype)
        for _ in range(shape.layers)
    ]
    produced: list[Tensor] = []
    start, chunk = 0, ids
    for _ in range(new_tokens):
        logits = _forward(target, chunk, start, pads, cache)
        start += chunk.shape[1]
        if temperature > 0:
            chunk = torch.multinomial((logits.float() / temperature).softmax(-1), 1, generator=generator)
        else:
            chunk = logits.argmax(-1, keepdim=True)
        produced.append(chunk)
    answers: list[list[int]] = torch.cat(produced, dim=1).tolist()
    return answers


def _forward(target: Llama, chunk: Tensor, start: int, pads: Tensor, cache: list[Tensor]) -> Tensor:
    """Logits [batch, vocabulary] after ``chunk``'s last token; extends ``cache`` from column ``start``."""
    end = start + chunk.shape[1]
    columns = torch.arange(start, end)
    positions = (columns[None, :] - pads[:, None]).clamp(min=0)
    cos, sin = target.model.cos[positions][:, None], target.model.sin[positions][:, None]
    keys_at = torch.arange(end)
    visible = (keys_at[None, None, :] <= columns[None, :, None]) & (keys_at[None, None, :] >= pads[:, None, None])
    # A padded query sees nothing; letting it see itself keeps its softmax finite, and nobody reads the result.
    visible = visible | (keys_at[None, None, :] == columns[None, :, None])
    x: Tensor = target.model.embed_tokens(chunk)
    for layer, stored in zip(target.model.blocks(), cache, strict=True):
        attention = layer.self_attn
        queries, keys, values = attention.project(layer.input_layernorm(x), cos, sin)
        stored[0, :, :, start:end], stored[1, :, :, start:end] = keys, values
        attended = functional.scaled_dot_product_attention(
            queries, stored[0, :, :, :end], stored[1, :, :, :end], attn_mask=visible[:, None]
        )
        x = x + attention.merge(attended)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return target.logits(target.model.norm(x[:, -1]))
