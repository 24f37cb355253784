"""Reads an EAGLE-3 head's checkpoint, and refuses what this engine would compute wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.transformers.eagle3 import Eagle3Head
from pytest_speedbench.engines.transformers.head_checkpoint import (
    check_shapes,
    head_shape,
    layer_shapes,
    llama_config,
    read_tensors,
    rotary_tables,
)
from pytest_speedbench.engines.transformers.loading import TargetFrame
from pytest_speedbench.errors import EngineError

_UNREAD_TENSORS = ("t2d",)
"""Part of the layout, but the inverse of ``d2t`` and needed only for training."""
_UNSUPPORTED_FLAGS = ("norm_before_fc", "norm_output", "fc_norm", "attention_bias", "mlp_bias")


@dataclass(frozen=True, slots=True)
class LoadedHead:
    """A head with what the target must hand to it.

    Attributes:
        head: the weights.
        layer_ids: which of the target's residual streams it reads, ascending; id k is the one after layer k.
        draft_vocab_size: tokens it can propose.
    """

    head: Eagle3Head
    layer_ids: tuple[int, ...]
    draft_vocab_size: int


def load_eagle3_head(checkpoint: Checkpoint, target: TargetFrame, positions: int) -> LoadedHead:
    """Load a head for a target model.

    Args:
        checkpoint: of the head.
        target: gives the embedding unless the head has one, the device and the dtype.
        positions: how many positions may be asked for.

    Raises:
        EngineError: a variant that is not supported, missing or unknown tensors, or shapes that do not fit.
    """
    _refuse_variants(checkpoint)
    config = llama_config(checkpoint)
    layer_ids = eagle3_layer_ids(checkpoint, target.layers)
    tensors = _read_tensors(checkpoint)
    embedding = target.embedding
    tensors.setdefault("embed_tokens.weight", embedding)
    draft_vocab_size = checkpoint.size("draft_vocab_size") or config.vocab_size
    auxiliary = len(layer_ids) * target.hidden_size
    pruned = draft_vocab_size != config.vocab_size
    # A head with the whole vocabulary may have a map too.
    shapes = _expected_shapes(config, draft_vocab_size, auxiliary, mapped=pruned or "d2t" in tensors)
    check_shapes(checkpoint, "EAGLE-3", tensors, shapes)
    if pruned:
        _check_map(checkpoint, tensors["d2t"], config.vocab_size)
    placed = {
        name: tensor.to(embedding.device, None if name == "d2t" else embedding.dtype)
        for name, tensor in tensors.items()
    }
    head = Eagle3Head(
        head_shape(config),
        placed,
        *rotary_tables(config, embedding, positions),
        norm_before_residual=bool(checkpoint.config.get("norm_before_residual", False)),
    )
    return LoadedHead(head, layer_ids, draft_vocab_size)


def _refuse_variants(checkpoint: Checkpoint) -> None:
    config, eagle = checkpoint.config, checkpoint.config.get("eagle_config") or {}
    refused = [f"{flag} is set" for flag in _UNSUPPORTED_FLAGS if config.get(flag) or eagle.get(flag)]
    if eagle.get("use_aux_hidden_state") is False:
        refused.append("eagle_config.use_aux_hidden_state is false")
    if config.get("num_hidden_layers", 1) != 1:
        refused.append(f"num_hidden_layers is {config['num_hidden_layers']}")
    if config.get("hidden_act", "silu") != "silu":
        refused.append(f"hidden_act is {config['hidden_act']}")
    if refused:
        raise EngineError(
            f"The head {checkpoint.reference!r} is a variant that the transformers engine does not compute: "
            f"{', '.join(refused)}.",
            "Measure it on an engine that supports it.",
        )


def eagle3_layer_ids(checkpoint: Checkpoint, layers: int) -> tuple[int, ...]:
    """After which of the target's ``layers`` the head reads the residual stream, ascending.

    Raises:
        EngineError: ids that are no layers of the target.
    """
    eagle = checkpoint.config.get("eagle_config") or {}
    name = "eagle_aux_hidden_state_layer_ids"
    # The default that heads are trained with unless they say otherwise.
    ids = eagle.get(name) or checkpoint.config.get(name) or (2, layers // 2, layers - 3)
    in_order = tuple(sorted(set(ids)))
    if len(in_order) != len(ids) or not 0 <= in_order[0] <= in_order[-1] <= layers:
        raise EngineError(
            f"The head {checkpoint.reference!r} cannot read the target's layers {list(ids)}: they must be distinct and "
            f"within 0 to {layers}.",
            f"State them in its config.json as eagle_config.{name}.",
        )
    return in_order


def _read_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    read = {_plain_name(name): tensor for name, tensor in read_tensors(checkpoint).items()}
    return {name: tensor for name, tensor in read.items() if name not in _UNREAD_TENSORS}


def _plain_name(name: str) -> str:
    """Some exporters call the one layer ``layers.0``."""
    return "midlayer." + name.removeprefix("layers.0.") if name.startswith("layers.0.") else name


def _expected_shapes(config: Any, draft_vocab_size: int, auxiliary: int, *, mapped: bool) -> dict[str, tuple[int, ...]]:
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "fc.weight": (hidden, auxiliary),
        "midlayer.hidden_norm.weight": (hidden,),
        "midlayer.input_layernorm.weight": (hidden,),
        "norm.weight": (hidden,),
        "lm_head.weight": (draft_vocab_size, hidden),
        "embed_tokens.weight": (config.vocab_size, hidden),
    }
    shapes |= {f"midlayer.{name}": shape for name, shape in layer_shapes(config, 2 * hidden).items()}
    return shapes | {"d2t": (draft_vocab_size,)} if mapped else shapes


def _check_map(checkpoint: Checkpoint, offsets: Tensor, vocab_size: int) -> None:
    target_ids = offsets + torch.arange(len(offsets))
    if int(target_ids.min()) < 0 or int(target_ids.max()) >= vocab_size:
        raise EngineError(
            f"The map d2t of the head {checkpoint.reference!r} points outside the vocabulary of {vocab_size} tokens.",
            "Write it as offsets: target id less draft id.",
        )
