"""Llama checkpoints and EAGLE-3 heads as GGUF files in float32, for tests of the bundled family.

Only what these models need: `llama.cpp` brings its own converter for everything else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "fc.weight": "fc.weight",
}
_IN_BLOCK = {
    "input_layernorm": "attn_norm",
    "hidden_norm": "attn_norm_2",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(checkpoint: Path, path: Path) -> Path:
    """Write the language model in a folder to ``path``, and give it back."""
    config = _config(checkpoint)
    writer = gguf.GGUFWriter(path, "llama")
    _write_sizes(writer, config, checkpoint.name)
    return _write(writer, config, checkpoint, checkpoint, path)


def write_head(checkpoint: Path, target: Path, path: Path) -> Path:
    """Write the EAGLE-3 head in a folder to ``path``, and give it back; it has the tokenizer of its target."""
    config = _config(checkpoint)
    writer = gguf.GGUFWriter(path, "eagle3")
    _write_sizes(writer, config, checkpoint.name)
    writer.add_array("eagle3.target_layers", config["eagle_config"]["eagle_aux_hidden_state_layer_ids"])
    writer.add_uint32("eagle3.target_hidden_size", _config(target)["hidden_size"])
    return _write(writer, config, checkpoint, target, path)


def _config(checkpoint: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return config


def _write(writer: gguf.GGUFWriter, config: dict[str, Any], checkpoint: Path, tokenizer: Path, path: Path) -> Path:
    _write_tokenizer(writer, json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8")), config)
    _write_tensors(writer, checkpoint / "model.safetensors", config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tensors(writer: gguf.GGUFWriter, path: Path, config: dict[str, Any]) -> None:
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    with safe_open(path, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - it is no dictionary
            values = tensors.get_tensor(name)
            if name == "d2t":  # offsets from the draft's ids here, the target's ids there
                writer.add_tensor(name, (values + torch.arange(len(values))).numpy())
            elif name != "t2d":
                ours = _tensor_name(name)
                writer.add_tensor(ours, _interleaved(values.to(torch.float32).numpy(), heads.get(ours.split(".")[-2])))


def _write_sizes(writer: gguf.GGUFWriter, config: dict[str, Any], name: str) -> None:
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    special = {entry["content"] for entry in tokenizer["added_tokens"] if entry["special"]}
    ids = {**tokenizer["model"]["vocab"], **{entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}}
    tokens = sorted(ids, key=lambda token: ids[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def _tensor_name(name: str) -> str:
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    # model.layers.N.… in a language model, midlayer.… in a head.
    _, _, block, inner = name.replace("midlayer.", "model.layers.0.").split(".", 3)
    return f"blk.{block}.{_IN_BLOCK[inner.removesuffix('.weight')]}.weight"


def _interleaved(values: npt.NDArray[np.float32], heads: int | None) -> npt.NDArray[np.float32]:
    """Rows of every head in the order of GGUF: the two halves that RoPE turns together become neighbours."""
    if heads is None:
        return values
    halves = values.reshape(heads, 2, -1, values.shape[-1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
