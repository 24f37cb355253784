"""Medusa heads replayed: every head reads the target's last hidden state and drafts one token, all at once.

Head k at the state that gave token t drafts token t + 1 + k, so one pass of the target over prompts and outputs gives
every draft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file
from torch import Tensor

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.replay.batches import best_tokens
from pytest_speedbench.engines.replay.places import Places
from pytest_speedbench.engines.replay.targets import Head, ReadBatch
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.loading import TargetFrame
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput

_READ = re.compile(r"blocks\.\d+\.layers\.(?P<layer>\d+)\.(?:weight|bias)|lm_head\.weight|lm_heads\.\d+\.weight")


@dataclass(frozen=True, slots=True)
class MedusaHeads:
    """The weights of some heads: residual blocks, and the projection to the vocabulary that all share or each has."""

    blocks: Sequence[Sequence[tuple[Tensor, Tensor | None]]]
    projections: Sequence[Tensor]

    @classmethod
    def load(cls, checkpoint: Checkpoint, heads: int, like: Tensor) -> MedusaHeads:
        """Load the first ``heads`` heads, placed and typed as the tensor ``like``.

        Raises:
            EngineError: tensors are missing, cannot be read or would be left out.
        """
        tensors: dict[str, Tensor] = {}
        try:
            for path in checkpoint.weight_files():
                tensors |= load_file(path)
            layers = checkpoint.size("num_hidden_layers") or 1
            _refuse_unread(checkpoint, tensors, layers)
            return cls(
                [[_layer(tensors, head, layer, like) for layer in range(layers)] for head in range(heads)],
                [_projection(tensors, head).to(like.device, like.dtype) for head in range(heads)],
            )
        except (KeyError, OSError, ValueError) as error:
            raise EngineError(
                f"The Medusa drafter {checkpoint.reference!r} cannot be read: {error} is missing or damaged.",
                "Give a checkpoint with blocks.K.layers.N.weight and lm_head.weight or lm_heads.K.weight.",
            ) from error

    def vocab_size(self, head: int) -> int:
        """Tokens that a head can propose."""
        return len(self.projections[head])

    def draft(self, head: int, states: Tensor) -> Tensor:
        """The tokens [places] of one head after hidden states [places, H] that passed the final norm."""
        for weight, bias in self.blocks[head]:
            states = states + F.silu(F.linear(states, weight, bias))
        return F.linear(states, self.projections[head]).argmax(dim=-1)


def medusa_head(checkpoint: Checkpoint, frame: TargetFrame, draft_length: int) -> Head:
    """Load as many heads as the draft is long.

    Raises:
        EngineError: tensors are missing or cannot be read.
    """
    heads = MedusaHeads.load(checkpoint, draft_length, frame.embedding)

    def reaches(batch: ReadBatch, outputs: Sequence[StoredOutput]) -> list[Reach]:
        places = Places(outputs, batch.rows, draft_length, batch.ids.device)
        states = batch.states()[places.rows, places.last_read]
        for number in range(draft_length):
            kept = places.keep(number + 1, best_tokens(partial(heads.draft, number), states, heads.vocab_size(number)))
            states = states[kept]
        return places.reaches()

    return Head((), reads_final=True, reaches=reaches)


def _refuse_unread(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], layers: int) -> None:
    """Heads beyond the draft length are not needed; anything else that is not read would change what they draft."""
    unread = []
    for name in sorted(tensors):
        found = _READ.fullmatch(name)
        if found is None or int(found["layer"] or 0) >= layers:
            unread.append(name)
    if unread:
        raise EngineError(
            f"The Medusa drafter {checkpoint.reference!r} has tensors that would be left out: {', '.join(unread)}.",
            "Measure it on an engine that supports this variant.",
        )


def _layer(tensors: Mapping[str, Tensor], head: int, layer: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
    name = f"blocks.{head}.layers.{layer}"
    bias = tensors.get(f"{name}.bias")
    weight = tensors[f"{name}.weight"].to(like.device, like.dtype)
    return weight, None if bias is None else bias.to(like.device, like.dtype)


def _projection(tensors: Mapping[str, Tensor], head: int) -> Tensor:
    shared = tensors.get("lm_head.weight")
    return tensors[f"lm_heads.{head}.weight"] if shared is None else shared
