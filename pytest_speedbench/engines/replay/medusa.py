"""Medusa heads replayed: every head reads the target's last hidden state and drafts one token, all at once.

Head k at the state that gave token t drafts token t + 1 + k, so one pass of the target over prompts and outputs gives
every draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file
from torch import Tensor

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput


@dataclass(frozen=True, slots=True)
class MedusaHeads:
    """The weights of some heads: residual blocks, and the projection to the vocabulary that all share or each has."""

    blocks: Sequence[Sequence[tuple[Tensor, Tensor | None]]]
    projections: Sequence[Tensor]

    @classmethod
    def load(cls, checkpoint: Checkpoint, heads: int, like: Tensor) -> MedusaHeads:
        """Load the first ``heads`` heads, placed and typed as the tensor ``like``.

        Raises:
            EngineError: tensors are missing or cannot be read.
        """
        tensors: dict[str, Tensor] = {}
        try:
            for path in checkpoint.weight_files():
                tensors |= load_file(path)
            layers = checkpoint.size("num_hidden_layers") or 1
            return cls(
                [[_layer(tensors, head, layer, like) for layer in range(layers)] for head in range(heads)],
                [_projection(tensors, head).to(like.device, like.dtype) for head in range(heads)],
            )
        except (KeyError, OSError, ValueError) as error:
            raise EngineError(
                f"The Medusa drafter {checkpoint.reference!r} cannot be read: {error} is missing or damaged.",
                "Give a checkpoint with blocks.K.layers.N.weight and lm_head.weight or lm_heads.K.weight.",
            ) from error

    def drafts(self, states: Tensor) -> Tensor:
        """One token of every head, [tokens, heads], after hidden states [tokens, H] that passed the final norm."""
        found = []
        for block, projection in zip(self.blocks, self.projections, strict=True):
            read = states
            for weight, bias in block:
                read = read + F.silu(F.linear(read, weight, bias))
            found.append(F.linear(read, projection).argmax(dim=-1))
        return torch.stack(found, dim=1)


def medusa_reach(heads: MedusaHeads, states: Tensor, stored: StoredOutput) -> Reach:
    """What the heads would have had accepted of one request.

    Args:
        heads: as many as the draft is long.
        states: the target's hidden states after its final norm, [tokens, H], of the prompt and the output but its last
            token at least.
        stored: what the target put out.
    """
    first, places = len(stored.prompt_ids), len(stored.output_ids) - 1
    drafts = heads.drafts(states[first - 1 : first - 1 + places])
    known = torch.tensor(stored.continued, device=states.device)
    length = len(heads.projections)
    accepted = [0] * places
    alive = torch.ones(places, dtype=torch.bool, device=states.device)
    for number in range(length):
        following = torch.arange(places, device=states.device) + 1 + number
        right = (drafts[:, number] == known[following.clamp(max=len(known) - 1)]) & (following < len(known))
        alive = alive & right
        for place in alive.nonzero()[:, 0].tolist():
            accepted[place] = number + 1
    return lambda place: VerifyStep(length, accepted[place])


def _layer(tensors: Mapping[str, Tensor], head: int, layer: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
    name = f"blocks.{head}.layers.{layer}"
    bias = tensors.get(f"{name}.bias")
    weight = tensors[f"{name}.weight"].to(like.device, like.dtype)
    return weight, None if bias is None else bias.to(like.device, like.dtype)


def _projection(tensors: Mapping[str, Tensor], head: int) -> Tensor:
    shared = tensors.get("lm_head.weight")
    return tensors[f"lm_heads.{head}.weight"] if shared is None else shared
