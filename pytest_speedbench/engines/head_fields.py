"""Which fields of a head's layer this project computes, and which it refuses by name. Imports no torch.

The arithmetic of a head is one Llama layer, or Qwen 3's, with rotary positions that do not change with the length. A
field that asks for anything else would be left out without a word, since nothing in the weights shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.errors import EngineError

_COMPUTED: Mapping[str, tuple[object, ...]] = {
    "num_hidden_layers": (1,),
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "qkv_bias": (False,),
    "use_qkv_bias": (False,),
    "mlp_bias": (False,),
    "bias": (False,),
    "qk_norm": (False,),
    "use_qk_norm": (False,),
    "use_aux_norm": (False,),
    "partial_rotary_factor": (1,),
    "rotary_pct": (1,),
    "rope_interleave": (False,),
    "no_rope_layers": ([], [1]),
    "logit_scale": (1,),
    "logits_scaling": (1,),
    "final_logit_softcapping": (),
    "attn_logit_softcapping": (),
    "attn_temperature_tuning": (False,),
    "attention_multiplier": (),
    "query_pre_attn_scalar": (),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "scale_emb": (1,),
    "scale_depth": (),
    "scale_embedding": (False,),
    "clip_qkv": (),
    "attention_chunk_size": (),
    "num_experts": (0,),
    "num_local_experts": (0,),
    "n_routed_experts": (0,),
    "quantization_config": (),
}
"""Fields that change what a layer computes, with the values that are computed; left out or null is one of them."""
_ROPE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    "yarn": ("factor", "beta_fast", "beta_slow", "original_max_position_embeddings"),
}
"""Rotary positions that do not change with the length, with the fields that transformers and vLLM read alike."""
_ROPE_NAMES = ("rope_parameters", "rope_scaling")


def uncomputed_fields(fields: Mapping[str, Any]) -> list[str]:
    """What a layer's config asks for that is not computed, each in words such as ``hidden_act is gelu``."""
    found = [
        _in_words(name, fields[name])
        for name, computed in _COMPUTED.items()
        if fields.get(name) is not None and fields[name] not in computed
    ]
    return found + [words for name in _ROPE_NAMES for words in _uncomputed_rope(name, fields.get(name))]


def check_rope_type(checkpoint: Checkpoint) -> None:
    """A head's rotary positions are of a type that is computed.

    Raises:
        EngineError: they change with the length, or are of no known type.
    """
    for name in _ROPE_NAMES:
        rope = checkpoint.text_config.get(name)
        kind = rope_type(rope) if isinstance(rope, Mapping) else "default"
        if kind not in _ROPE_FIELDS:
            raise EngineError(
                f"The head {checkpoint.reference!r} has rotary positions of type {kind!r}, which change with the "
                "length.",
                f"Supported types: {', '.join(_ROPE_FIELDS)}.",
            )


def rope_type(rope: Mapping[str, Any]) -> str:
    """The type in the words of transformers, which used to call the field ``type``."""
    return str(rope.get("rope_type") or rope.get("type") or "default")


def layer_window(fields: Mapping[str, Any]) -> int | None:
    """How many tokens the head's layer attends to, itself included; ``None`` for all.

    Engines go by ``layer_types``, whose first entry is the head's layer even where a target's whole list was copied.

    Raises:
        ValueError: the fields do not say it in a way that engines read alike, in words that go on after a colon.
    """
    window, types = fields.get("sliding_window"), fields.get("layer_types")
    if types:
        if types[0] == "full_attention":
            return None
        if types[0] != "sliding_attention":
            raise ValueError(f"its layer_types are {types[0]}")
        if not isinstance(window, int) or isinstance(window, bool) or window < 1:
            raise ValueError(f"its layer_types are sliding_attention and its sliding_window is {window!r}")
        return window
    if window is not None and fields.get("use_sliding_window") is not False:
        raise ValueError(f"sliding_window is {window}, and no layer_types say whether the layer has it")
    return None


def _uncomputed_rope(name: str, rope: object) -> list[str]:
    if not isinstance(rope, Mapping) or (kind := rope_type(rope)) not in _ROPE_FIELDS:
        return []
    known = {"rope_type", "type", "rope_theta", *_ROPE_FIELDS[kind]}
    return [
        _in_words(f"{name}.{field}", value)
        for field, value in rope.items()
        if field not in known and value is not None and not (field == "partial_rotary_factor" and value == 1)
    ]


def _in_words(name: str, value: object) -> str:
    if value is True:
        return f"{name} is set"
    if value is False:
        return f"{name} is false"
    return f"{name} is given" if isinstance(value, (dict, list)) else f"{name} is {value}"
