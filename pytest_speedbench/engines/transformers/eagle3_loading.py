"""Reads an EAGLE-3 head's checkpoint, and refuses what this engine would compute wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.transformers.eagle3 import Eagle3Head, HeadShape
from pytest_speedbench.errors import EngineError

_UNREAD_TENSORS = ("t2d",)
"""Part of the layout, but the inverse of ``d2t`` and needed only for training."""
_UNSUPPORTED_FLAGS = ("norm_before_fc", "norm_output", "fc_norm", "attention_bias", "mlp_bias")
_FIXED_ROPE_TYPES = ("default", "linear", "llama3", "yarn")


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


def load_eagle3_head(checkpoint: Checkpoint, target: Any, positions: int) -> LoadedHead:
    """Load a head for a target model.

    Args:
        checkpoint: of the head.
        target: the loaded transformers model; gives the embedding unless the head has one, the device and the dtype.
        positions: how many positions may be asked for.

    Raises:
        EngineError: a variant that is not supported, missing or unknown tensors, or shapes that do not fit.
    """
    _refuse_variants(checkpoint)
    config = _llama_config(checkpoint)
    layer_ids = _layer_ids(checkpoint, target)
    tensors = _read_tensors(checkpoint)
    embedding = target.get_input_embeddings().weight
    tensors.setdefault("embed_tokens.weight", embedding.detach())
    draft_vocab_size = checkpoint.size("draft_vocab_size") or config.vocab_size
    width = target.config.get_text_config().hidden_size
    _check_shapes(checkpoint, tensors, _expected_shapes(config, draft_vocab_size, len(layer_ids) * width))
    if draft_vocab_size != config.vocab_size:
        _check_map(checkpoint, tensors["d2t"], config.vocab_size)
    placed = {
        name: tensor.to(embedding.device, None if name == "d2t" else embedding.dtype)
        for name, tensor in tensors.items()
    }
    shape = HeadShape(
        hidden_size=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        norm_eps=config.rms_norm_eps,
        norm_before_residual=bool(checkpoint.config.get("norm_before_residual", False)),
    )
    rotary = LlamaRotaryEmbedding(config).to(embedding.device)
    cos, sin = rotary(embedding, torch.arange(positions, device=embedding.device)[None])
    return LoadedHead(Eagle3Head(shape, placed, cos[0], sin[0]), layer_ids, draft_vocab_size)


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


def _llama_config(checkpoint: Checkpoint) -> Any:
    try:
        config = LlamaConfig(**{key: value for key, value in checkpoint.config.items() if key != "architectures"})
    except Exception as error:
        raise EngineError(
            f"The config of the head {checkpoint.reference!r} is no Llama config: {error}", "Restore its config.json."
        ) from error
    rope_type = (config.rope_parameters or {}).get("rope_type", "default")
    if rope_type not in _FIXED_ROPE_TYPES:
        raise EngineError(
            f"The head {checkpoint.reference!r} has rotary positions of type {rope_type!r}, which change with the "
            "length.",
            f"Supported types: {', '.join(_FIXED_ROPE_TYPES)}.",
        )
    return config


def _layer_ids(checkpoint: Checkpoint, target: Any) -> tuple[int, ...]:
    eagle = checkpoint.config.get("eagle_config") or {}
    name = "eagle_aux_hidden_state_layer_ids"
    layers = target.config.get_text_config().num_hidden_layers
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
    tensors: dict[str, Tensor] = {}
    for path in checkpoint.weight_files():
        try:
            if path.suffix == ".safetensors":
                read = load_file(path)
            else:
                read = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise EngineError(f"{path} cannot be read: {error}", "Restore the head's weights.") from error
        tensors.update((_plain_name(name), tensor) for name, tensor in read.items())
    return {name: tensor for name, tensor in tensors.items() if name not in _UNREAD_TENSORS}


def _plain_name(name: str) -> str:
    """Some exporters write ``model.`` before the names, or call the one layer ``layers.0``."""
    name = name.removeprefix("model.")
    return "midlayer." + name.removeprefix("layers.0.") if name.startswith("layers.0.") else name


def _expected_shapes(config: Any, draft_vocab_size: int, auxiliary: int) -> dict[str, tuple[int, ...]]:
    hidden, inner = config.hidden_size, config.intermediate_size
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "fc.weight": (hidden, auxiliary),
        "midlayer.self_attn.q_proj.weight": (queries, 2 * hidden),
        "midlayer.self_attn.k_proj.weight": (keys, 2 * hidden),
        "midlayer.self_attn.v_proj.weight": (keys, 2 * hidden),
        "midlayer.self_attn.o_proj.weight": (hidden, queries),
        "midlayer.mlp.gate_proj.weight": (inner, hidden),
        "midlayer.mlp.up_proj.weight": (inner, hidden),
        "midlayer.mlp.down_proj.weight": (hidden, inner),
        "midlayer.hidden_norm.weight": (hidden,),
        "midlayer.input_layernorm.weight": (hidden,),
        "midlayer.post_attention_layernorm.weight": (hidden,),
        "norm.weight": (hidden,),
        "lm_head.weight": (draft_vocab_size, hidden),
        "embed_tokens.weight": (config.vocab_size, hidden),
    }
    if draft_vocab_size != config.vocab_size:
        shapes["d2t"] = (draft_vocab_size,)
    return shapes


def _check_shapes(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> None:
    who = f"The head {checkpoint.reference!r}"
    remedy = "Give a complete EAGLE-3 head that was made for this target."
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        raise EngineError(f"{who} lacks the tensors {', '.join(missing)}.", remedy)
    unknown = sorted(tensors.keys() - expected.keys() - {"d2t"})
    if unknown:
        raise EngineError(
            f"{who} has tensors that the transformers engine would leave out: {', '.join(unknown)}.",
            "Measure it on an engine that supports this variant.",
        )
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise EngineError(
                f"{who} does not fit: {name} has the shape {list(tensors[name].shape)}, and {list(shape)} is needed.",
                remedy,
            )


def _check_map(checkpoint: Checkpoint, offsets: Tensor, vocab_size: int) -> None:
    target_ids = offsets + torch.arange(len(offsets))
    if int(target_ids.min()) < 0 or int(target_ids.max()) >= vocab_size:
        raise EngineError(
            f"The map d2t of the head {checkpoint.reference!r} points outside the vocabulary of {vocab_size} tokens.",
            "Write it as offsets: target id less draft id.",
        )
