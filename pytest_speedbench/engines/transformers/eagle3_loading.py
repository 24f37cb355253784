"""Reads an EAGLE-3 head's checkpoint, and refuses what this engine would compute wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import LlamaConfig, Qwen3Config

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.draft_vocabulary import MARKS, OFFSETS, refused_map, target_ids
from pytest_speedbench.engines.eagle_configs import LAYER_IDS, Eagle3Config, read_eagle3_config, stated_layer_ids
from pytest_speedbench.engines.transformers.eagle3 import Eagle3Head
from pytest_speedbench.engines.transformers.head_checkpoint import (
    check_shapes,
    head_shape,
    layer_config,
    layer_shapes,
    read_tensors,
    rotary_tables,
)
from pytest_speedbench.engines.transformers.loading import TargetFrame
from pytest_speedbench.errors import EngineError


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
    computed = read_eagle3_config(checkpoint)
    config = layer_config(checkpoint, computed.layer, Qwen3Config if computed.qk_norm else LlamaConfig)
    layer_ids = eagle3_layer_ids(checkpoint, target.layers)
    tensors = _read_tensors(checkpoint)
    embedding = target.embedding
    tensors.setdefault("embed_tokens.weight", embedding)
    draft_vocab_size = checkpoint.size("draft_vocab_size") or config.vocab_size
    pruned = draft_vocab_size != config.vocab_size
    marks = tensors.pop(MARKS, None)
    # A head with the whole vocabulary may have a map too.
    mapped = pruned or OFFSETS in tensors
    shapes = _expected_shapes(config, computed, draft_vocab_size, len(layer_ids), target.hidden_size, mapped=mapped)
    check_shapes(checkpoint, "EAGLE-3", tensors, shapes)
    if mapped:
        _check_map(checkpoint, tensors[OFFSETS], marks, config.vocab_size)
    placed = {
        name: tensor.to(embedding.device, None if name == OFFSETS else embedding.dtype)
        for name, tensor in tensors.items()
    }
    head = Eagle3Head(
        head_shape(config, computed.window),
        placed,
        *rotary_tables(config, embedding, positions),
        norm_before_residual=computed.norm_before_residual,
        norm_output=computed.norm_output,
    )
    return LoadedHead(head, layer_ids, draft_vocab_size)


def eagle3_layer_ids(checkpoint: Checkpoint, layers: int) -> tuple[int, ...]:
    """After which of the target's ``layers`` the head reads the residual stream, ascending.

    Raises:
        EngineError: ids that are no layers of the target.
    """
    # The default that heads are trained with unless they say otherwise.
    ids = stated_layer_ids(checkpoint) or (2, layers // 2, layers - 3)
    in_order = tuple(sorted(set(ids)))
    if len(in_order) != len(ids) or not 0 <= in_order[0] <= in_order[-1] <= layers:
        raise EngineError(
            f"The head {checkpoint.reference!r} cannot read the target's layers {list(ids)}: they must be distinct and "
            f"within 0 to {layers}.",
            f"State them in its config.json as eagle_config.{LAYER_IDS}.",
        )
    return in_order


def _read_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return {_plain_name(name): tensor for name, tensor in read_tensors(checkpoint).items()}


def _plain_name(name: str) -> str:
    """Some exporters call the one layer ``layers.0``."""
    return "midlayer." + name.removeprefix("layers.0.") if name.startswith("layers.0.") else name


def _expected_shapes(
    config: Any, computed: Eagle3Config, draft_vocab_size: int, states: int, target_size: int, *, mapped: bool
) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors; the head reads ``states`` of the target's streams, each ``target_size`` wide."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "fc.weight": (hidden, states * target_size),
        "midlayer.hidden_norm.weight": (hidden,),
        "midlayer.input_layernorm.weight": (hidden,),
        "norm.weight": (hidden,),
        "lm_head.weight": (draft_vocab_size, hidden),
        "embed_tokens.weight": (config.vocab_size, hidden),
    }
    shapes |= {f"midlayer.{name}": shape for name, shape in layer_shapes(config, 2 * hidden).items()}
    if computed.qk_norm:
        shapes |= {f"midlayer.self_attn.{name}_norm.weight": (config.head_dim,) for name in "qk"}
    if computed.norm_before_fc:
        shapes["input_norm.weight"] = (states * target_size,)
    if computed.fc_norm:
        shapes |= {f"fc_norm.{state}.weight": (target_size,) for state in range(states)}
    return shapes | {OFFSETS: (draft_vocab_size,)} if mapped else shapes


def _check_map(checkpoint: Checkpoint, offsets: Tensor, marks: Tensor | None, vocab_size: int) -> None:
    try:
        target_ids(_array(offsets), None if marks is None else _array(marks), len(offsets), vocab_size)
    except ValueError as error:
        raise refused_map(checkpoint, str(error)) from None


def _array(tensor: Tensor) -> Any:
    # numpy has no bfloat16; that the numbers are no whole ones is seen all the same.
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
