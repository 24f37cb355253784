"""What the checkpoints of EAGLE heads have in common: a Llama config, tensors by plain names, shapes that fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.transformers.head_layer import HeadShape
from pytest_speedbench.errors import EngineError

_NO_ARGUMENTS = ("architectures", "layer_types", "sliding_window", "model_type")
"""What is no field of the layer, or read before: a window, and whose model type the layer is of."""


def layer_config(checkpoint: Checkpoint, fields: Mapping[str, Any], kind: type[Any] = LlamaConfig) -> Any:
    """The config of the head's layer as transformers reads it.

    Args:
        checkpoint: of the head.
        fields: of the layer.
        kind: transformers' config of such layers.

    Raises:
        EngineError: it is no such config.
    """
    try:
        return kind(**{key: value for key, value in fields.items() if key not in _NO_ARGUMENTS})
    except Exception as error:
        raise EngineError(
            f"The config of the head {checkpoint.reference!r} is no Llama config: {error}", "Restore its config.json."
        ) from error


def head_shape(config: Any, window: int | None = None) -> HeadShape:
    """The sizes of a head's layer, whose attention reaches ``window`` tokens or all."""
    return HeadShape(
        hidden_size=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        norm_eps=config.rms_norm_eps,
        window=window,
    )


def rotary_tables(config: Any, like: Tensor, positions: int) -> tuple[Tensor, Tensor]:
    """Rotary cosines and sines [positions, head_dim], placed and typed as the tensor ``like``."""
    rotary = LlamaRotaryEmbedding(config).to(like.device)
    cos, sin = rotary(like, torch.arange(positions, device=like.device)[None])
    return cos[0], sin[0]


def read_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All tensors by name, without the ``model.`` that some exporters write before it.

    Raises:
        EngineError: a file cannot be read.
    """
    tensors: dict[str, Tensor] = {}
    for path in checkpoint.weight_files():
        try:
            if path.suffix == ".safetensors":
                read = load_file(path)
            else:
                read = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise EngineError(f"{path} cannot be read: {error}", "Restore the head's weights.") from error
        tensors.update((name.removeprefix("model."), tensor) for name, tensor in read.items())
    return tensors


def layer_shapes(config: Any, read_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a layer's tensors, by their names within it; its attention reads ``read_size`` features."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    return {
        "self_attn.q_proj.weight": (queries, read_size),
        "self_attn.k_proj.weight": (keys, read_size),
        "self_attn.v_proj.weight": (keys, read_size),
        "self_attn.o_proj.weight": (hidden, queries),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
        "post_attention_layernorm.weight": (hidden,),
    }


def check_shapes(
    checkpoint: Checkpoint, method: str, tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Every tensor is there, has the shape it needs, and is one that is computed with.

    Args:
        checkpoint: of the head.
        method: what the head is called, for messages.
        tensors: as read.
        expected: shapes by name.

    Raises:
        EngineError: a tensor is missing, unknown or of another shape.
    """
    who = f"The head {checkpoint.reference!r}"
    remedy = f"Give a complete {method} head that was made for this target."
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        raise EngineError(f"{who} lacks the tensors {', '.join(missing)}.", remedy)
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        raise EngineError(
            f"{who} has tensors that would be left out: {', '.join(unknown)}.",
            "Measure it on an engine that supports this variant.",
        )
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise EngineError(
                f"{who} does not fit: {name} has the shape {list(tensors[name].shape)}, and {list(shape)} is needed.",
                remedy,
            )
