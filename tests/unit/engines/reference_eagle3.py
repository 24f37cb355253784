"""An EAGLE-3 head written a second time: no cache, no fused weights, everything computed anew for every draft token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

EPS, THETA = 1e-5, 10_000.0


@dataclass(frozen=True)
class Reference:
    """A head's tensors by checkpoint name, its attention sizes, and what it reads."""

    tensors: dict[str, Tensor]
    layer_ids: tuple[int, ...]
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 8
    norm_before_residual: bool = False
    norm_output: bool = False
    window: int | None = None

    @torch.inference_mode()
    def draft(self, target: Any, ids: Tensor, length: int) -> list[int]:
        """``length`` draft tokens after ``ids`` [tokens], of which the target has read all but the last."""
        w = self.tensors
        embedding = w.get("embed_tokens.weight", target.get_input_embeddings().weight)
        states = residual_streams(target, ids[:-1], self.layer_ids)
        if "input_norm.weight" in w:
            states = rms(states, w["input_norm.weight"])
        if "fc_norm.0.weight" in w:
            parts = states.chunk(len(self.layer_ids), dim=-1)
            states = torch.cat([rms(part, w[f"fc_norm.{n}.weight"]) for n, part in enumerate(parts)], dim=-1)
        hidden = F.linear(states, w["fc.weight"])
        tokens = ids[1:].tolist()
        drafted = []
        for _ in range(length):
            streams = self._layer(embedding[tokens], hidden)
            normed = rms(streams[-1:], w["norm.weight"])
            draft_id = int(F.linear(normed, w["lm_head.weight"]).argmax())
            drafted.append(draft_id + (int(w["d2t"][draft_id]) if "d2t" in w else 0))
            tokens.append(drafted[-1])
            hidden = torch.cat((hidden, normed if self.norm_output else streams[-1:]))
        return drafted

    def _layer(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        w = self.tensors
        normed = rms(hidden, w["midlayer.hidden_norm.weight"])
        x = torch.cat((rms(embedded, w["midlayer.input_layernorm.weight"]), normed), dim=-1)
        q, k, v = (
            F.linear(x, w[f"midlayer.self_attn.{name}_proj.weight"]).view(len(x), -1, self.head_dim)
            for name in ("q", "k", "v")
        )
        if "midlayer.self_attn.q_norm.weight" in w:
            q, k = rms(q, w["midlayer.self_attn.q_norm.weight"]), rms(k, w["midlayer.self_attn.k_norm.weight"])
        q, k = self._turn(q), self._turn(k)
        mixed = []
        for head in range(self.heads):
            shared = head // (self.heads // self.kv_heads)
            scores = q[:, head] @ k[:, shared].T / math.sqrt(self.head_dim)
            future = torch.ones_like(scores, dtype=torch.bool).triu(1)
            if self.window is not None:
                places = torch.arange(len(x))
                future |= places[None] <= places[:, None] - self.window
            mixed.append(scores.masked_fill(future, -torch.inf).softmax(-1) @ v[:, shared])
        residual = normed if self.norm_before_residual else hidden
        residual = residual + F.linear(torch.cat(mixed, dim=-1), w["midlayer.self_attn.o_proj.weight"])
        y = rms(residual, w["midlayer.post_attention_layernorm.weight"])
        gated = F.silu(F.linear(y, w["midlayer.mlp.gate_proj.weight"])) * F.linear(y, w["midlayer.mlp.up_proj.weight"])
        return residual + F.linear(gated, w["midlayer.mlp.down_proj.weight"])

    def _turn(self, x: Tensor) -> Tensor:
        """Rotary positions by complex multiplication; ``x`` is [pairs, heads, head_dim]."""
        angles = torch.arange(len(x))[:, None] * THETA ** (-torch.arange(0, self.head_dim, 2) / self.head_dim)
        half = self.head_dim // 2
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.cat((turned.real, turned.imag), dim=-1)


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + EPS).sqrt() * weight


def residual_streams(target: Any, ids: Tensor, layer_ids: tuple[int, ...]) -> Tensor:
    """Each stream from a run of the first layers only, so that no library's idea of hidden states is asked."""
    decoder = target.model
    layers, norm = decoder.layers, decoder.norm
    streams = []
    try:
        decoder.norm = torch.nn.Identity()
        for layer_id in layer_ids:
            decoder.layers = layers[:layer_id]
            streams.append(decoder(ids[None], use_cache=False).last_hidden_state[0])
    finally:
        decoder.layers, decoder.norm = layers, norm
    return torch.cat(streams, dim=-1)
