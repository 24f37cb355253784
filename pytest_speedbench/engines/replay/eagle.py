"""An EAGLE head replayed: one layer over the target's final hidden state, whose output the target's own head reads.

EAGLE in its first form (arXiv:2401.15077): for every pair of a token's hidden state, taken after the target's final
norm, and the next token's embedding, both are projected to one width and go through a decoder layer that has no norm
before its attention. There is no norm after it either: what comes out is taken for the target's next hidden state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pytest_speedbench.config import DrafterMethod
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.eagle_configs import check_eagle_config
from pytest_speedbench.engines.fit import check_kind
from pytest_speedbench.engines.replay.chain import chain_reaches
from pytest_speedbench.engines.replay.targets import Head, ReadBatch
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.head_checkpoint import (
    check_shapes,
    head_shape,
    layer_config,
    layer_shapes,
    read_tensors,
    rotary_tables,
)
from pytest_speedbench.engines.transformers.head_layer import Entered, HeadLayer, HeadShape, within_layer
from pytest_speedbench.engines.transformers.loading import TargetFrame
from pytest_speedbench.outputs import StoredOutput

_UNREAD_TENSOR = "layers.0.self_attn.rotary_emb.inv_freq"
"""Written by older exporters; the config says it too."""


class EagleHead:
    """The weights of a head, and what it does before and after its attention.

    Args:
        shape: sizes.
        tensors: weights by checkpoint name (``fc.weight``, ``fc.bias`` where the head has one, ``layers.0.…``,
            ``embed_tokens.weight``), on one device and of one dtype.
        cos: rotary cosines [positions, head_dim], half-split layout, by absolute position.
        sin: rotary sines of the same shape.
        lm_head: the target's projection to the vocabulary, [V, H].
    """

    def __init__(
        self, shape: HeadShape, tensors: Mapping[str, Tensor], cos: Tensor, sin: Tensor, lm_head: Tensor
    ) -> None:
        self._layer = HeadLayer(shape, within_layer(tensors, "layers.0."), cos, sin)
        self._embedding = tensors["embed_tokens.weight"]
        self._fc, self._fc_bias = tensors["fc.weight"], tensors.get("fc.bias")
        self._lm_head = lm_head

    @property
    def draft_vocab_size(self) -> int:
        """Tokens that it can propose."""
        return len(self._lm_head)

    @property
    def window(self) -> None:
        """Its attention reaches all before it."""

    def enter(self, token_ids: Tensor, hidden: Tensor, positions: Tensor) -> Entered:
        """Everything up to the attention.

        Args:
            token_ids: [..., pairs], for position t the token t + 1.
            hidden: [..., pairs, H], for position t the target's final hidden state of token t, or the head's own.
            positions: [pairs].
        """
        fused = F.linear(torch.cat((F.embedding(token_ids, self._embedding), hidden), dim=-1), self._fc, self._fc_bias)
        return Entered(fused, *self._layer.project(fused, positions))

    def leave(self, residual: Tensor, mixed: Tensor) -> Tensor:
        """Everything after the attention: the hidden states that stand in for the target's, [pairs, H].

        Args:
            residual: [pairs, H].
            mixed: what the attention gave, [pairs, heads, head_dim].
        """
        return self._layer.leave(residual, mixed)

    def best_token(self, stream: Tensor) -> Tensor:
        """The most likely tokens [pairs] after hidden states [pairs, H]."""
        return F.linear(stream, self._lm_head).argmax(dim=-1)


def eagle_head(checkpoint: Checkpoint, frame: TargetFrame, draft_length: int, context_tokens: int) -> Head:
    """Load a head.

    Raises:
        EngineError: a variant that is not computed, missing or unknown tensors, or shapes that do not fit.
    """
    head = _load(checkpoint, frame, context_tokens + draft_length)

    def reaches(batch: ReadBatch, outputs: Sequence[StoredOutput]) -> list[Reach]:
        return chain_reaches(head, batch.states(), batch, outputs, draft_length)

    return Head((), reads_final=True, reaches=reaches)


def _load(checkpoint: Checkpoint, frame: TargetFrame, positions: int) -> EagleHead:
    check_kind(checkpoint, DrafterMethod.EAGLE)
    check_eagle_config(checkpoint)
    config = layer_config(checkpoint, checkpoint.text_config)
    tensors = {name: tensor for name, tensor in read_tensors(checkpoint).items() if name != _UNREAD_TENSOR}
    tensors.setdefault("embed_tokens.weight", frame.embedding)
    check_shapes(checkpoint, "EAGLE", tensors, _expected_shapes(config, frame, biased="fc.bias" in tensors))
    placed = {name: tensor.to(frame.embedding.device, frame.embedding.dtype) for name, tensor in tensors.items()}
    cos, sin = rotary_tables(config, frame.embedding, positions)
    return EagleHead(head_shape(config), placed, cos, sin, frame.lm_head)


def _expected_shapes(config: Any, frame: TargetFrame, *, biased: bool) -> dict[str, tuple[int, ...]]:
    hidden = frame.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "fc.weight": (hidden, 2 * hidden),
        "embed_tokens.weight": (len(frame.lm_head), hidden),
    }
    shapes |= {f"layers.0.{name}": shape for name, shape in layer_shapes(config, hidden).items()}
    return shapes | {"fc.bias": (hidden,)} if biased else shapes
