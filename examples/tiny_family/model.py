"""A small Llama in plain PyTorch, made to train fast on a CPU, whose parameter names are those of a Llama checkpoint.

The same blocks serve the target, the draft model and the EAGLE-3 head, so that all three compute what the engines
compute: RMS norms, rotary positions in half-split layout, grouped-query attention and a SiLU-gated feed-forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

RMS_NORM_EPS = 1e-5
ROPE_THETA = 10_000.0
MAX_POSITIONS = 2048


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of a Llama: widths in features, ``layers`` in blocks."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learned gain, computed in fp32 as the engines do."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + RMS_NORM_EPS)
        return (wide * scale).to(x.dtype) * self.weight.to(x.dtype)


def rotary_tables(length: int, head_dim: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Cosines and sines of shape [length, head_dim] for positions 0..length-1."""
    frequencies = ROPE_THETA ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies[None, :]
    both = torch.cat((angles, angles), dim=-1)
    return both.cos().to(dtype), both.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions to ``x`` of shape [batch, heads, length, head_dim]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Causal grouped-query attention; ``input_size`` differs from the hidden size in an EAGLE-3 head."""

    def __init__(self, shape: LlamaShape, input_size: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = shape.heads, shape.kv_heads, shape.head_dim
        self.q_proj = nn.Linear(input_size, shape.heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(input_size, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(input_size, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_dim, shape.hidden_size, bias=False)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries, rotated keys, and values, each [batch, heads, length, head_dim]; one key per query head."""
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        groups = self.heads // self.kv_heads
        q, k = rotate(q, cos.to(q.dtype), sin.to(q.dtype)), rotate(k, cos.to(k.dtype), sin.to(k.dtype))
        return q, k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)

    def merge(self, attended: Tensor) -> Tensor:
        """Project [batch, heads, length, head_dim] back to [batch, length, hidden]."""
        batch, _, length, _ = attended.shape
        merged: Tensor = self.o_proj(attended.transpose(1, 2).reshape(batch, length, self.heads * self.head_dim))
        return merged

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = self.project(x, cos, sin)
        return self.merge(functional.scaled_dot_product_attention(q, k, v, is_causal=True))


class FeedForward(nn.Module):
    """SiLU-gated feed-forward."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """One Llama layer."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size)
        self.self_attn = Attention(shape, shape.hidden_size)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        attended: Tensor = x + self.self_attn(self.input_layernorm(x), cos, sin)
        out: Tensor = attended + self.mlp(self.post_attention_layernorm(attended))
        return out


class LlamaBody(nn.Module):
    """Embedding, blocks and final norm."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden_size)
        cos, sin = rotary_tables(MAX_POSITIONS, shape.head_dim)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def blocks(self) -> list[Block]:
        """The layers, typed."""
        return [cast("Block", layer) for layer in self.layers]

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Residual streams [batch, length, hidden]: entry k is the one after k layers, entry 0 the embedding."""
        length = ids.shape[1]
        streams = [self.embed_tokens(ids)]
        for layer in self.blocks():
            streams.append(layer(streams[-1], self.cos[:length], self.sin[:length]))
        return streams


class Llama(nn.Module):
    """A Llama with tied embeddings. ``state_dict`` is that of a tied ``LlamaForCausalLM`` checkpoint."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = LlamaBody(shape)
        self.apply(_initialise)
        for layer in self.model.blocks():
            for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(projection.weight, std=0.02 / (2 * shape.layers) ** 0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Normed final states of shape [batch, length, hidden]; see :meth:`logits`."""
        normed: Tensor = self.model.norm(self.model(ids)[-1])
        return normed

    def logits(self, states: Tensor) -> Tensor:
        """Vocabulary logits of normed states."""
        return functional.linear(states, self.model.embed_tokens.weight)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
