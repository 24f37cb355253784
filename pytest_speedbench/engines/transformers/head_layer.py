"""The decoder layer that EAGLE heads have: Llama's, but for what its attention reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Sizes of a head's layer.

    Attributes:
        hidden_size: H, width of the head's residual stream.
        heads: query heads.
        kv_heads: key and value heads, a divisor of ``heads``.
        head_dim: width of one head.
        norm_eps: epsilon of its RMS norms.
        window: tokens that its attention reaches, the one it is at included; ``None`` for all before it.
    """

    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float
    window: int | None = None


class Entered(NamedTuple):
    """What a head's layer made of pairs before its attention.

    Attributes:
        residual: [..., pairs, H].
        queries: [..., pairs, heads, head_dim].
        keys: [..., pairs, kv_heads, head_dim].
        values: of the same shape.
    """

    residual: Tensor
    queries: Tensor
    keys: Tensor
    values: Tensor


class HeadLayer:
    """The weights of the layer, and what it does before and after its attention.

    Args:
        shape: sizes.
        tensors: weights by their names within the layer (``self_attn.q_proj.weight``, …; ``self_attn.q_norm.weight``
            and ``self_attn.k_norm.weight`` where queries and keys are normed), on one device and of one dtype.
        cos: rotary cosines [positions, head_dim], half-split layout, by absolute position.
        sin: rotary sines of the same shape.
    """

    def __init__(self, shape: HeadShape, tensors: Mapping[str, Tensor], cos: Tensor, sin: Tensor) -> None:
        self.shape = shape
        self._cos, self._sin = cos, sin
        self._qkv = torch.cat([tensors[f"self_attn.{name}_proj.weight"] for name in "qkv"])
        self._q_norm, self._k_norm = (tensors.get(f"self_attn.{name}_norm.weight") for name in "qk")
        self._o = tensors["self_attn.o_proj.weight"]
        self._gate_up = torch.cat([tensors[f"mlp.{name}_proj.weight"] for name in ("gate", "up")])
        self._down = tensors["mlp.down_proj.weight"]
        self._post_norm = tensors["post_attention_layernorm.weight"]

    def project(self, read: Tensor, positions: slice | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of what the attention reads, each [..., pairs, heads, head_dim]."""
        shape = self.shape
        projected = F.linear(read, self._qkv).view(*read.shape[:-1], -1, shape.head_dim)
        turned, values = projected.tensor_split((shape.heads + shape.kv_heads,), dim=-2)
        if self._q_norm is not None and self._k_norm is not None:
            queries, keys = turned.tensor_split((shape.heads,), dim=-2)
            turned = torch.cat((self.rms(queries, self._q_norm), self.rms(keys, self._k_norm)), dim=-2)
        queries, keys = self._rotate(turned, positions).tensor_split((shape.heads,), dim=-2)
        return queries, keys, values

    def leave(self, residual: Tensor, mixed: Tensor) -> Tensor:
        """Everything after the attention.

        Args:
            residual: [pairs, H].
            mixed: what the attention gave, [pairs, heads, head_dim].

        Returns:
            The residual streams after the layer, [pairs, H].
        """
        residual = residual + F.linear(mixed.flatten(1), self._o)
        gate, up = F.linear(self.rms(residual, self._post_norm), self._gate_up).chunk(2, dim=-1)
        return residual + F.linear(F.silu(gate) * up, self._down)

    def rms(self, x: Tensor, weight: Tensor) -> Tensor:
        """The head's norm with one of its gains."""
        return F.rms_norm(x, weight.shape, weight, self.shape.norm_eps)

    def _rotate(self, x: Tensor, positions: slice | Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * self._cos[positions, None] + torch.cat((-second, first), dim=-1) * self._sin[positions, None]


def within_layer(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
