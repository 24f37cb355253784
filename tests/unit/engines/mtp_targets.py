"""Random mixture-of-experts targets with multi-token-prediction layers, in their checkpoints' names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Glm4MoeConfig, Glm4MoeForCausalLM, MellumConfig, MellumForCausalLM

from tests.unit.engines.tiny_models import CONTEXT, HIDDEN, VOCAB


def write_mtp_target(folder: Path, layers: int = 1, window: int | None = None) -> Path:
    """A target whose layers draft some of its tokens.

    Args:
        folder: where to write.
        layers: multi-token-prediction layers.
        window: sliding window of these layers; ``None`` for full attention.
    """
    config_class: Any = MellumConfig
    config = config_class(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_hidden_layers=layers + 1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=CONTEXT,
        moe_intermediate_size=16,
        num_experts=4,
        num_experts_per_tok=2,
        num_mtp_layers=layers,
        layer_types=["full_attention", *["sliding_attention"] * layers],
        initializer_range=0.25,
        **({} if window is None else {"sliding_window": window, "mtp_layer_types": ["sliding_attention"] * layers}),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        MellumForCausalLM(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    # What follows depends mostly on the token itself, so that a layer which looks at little else is often right.
    weights["model.embed_tokens.weight"] *= 4
    weights |= {
        name: 0.25 * tensor for name, tensor in weights.items() if name.endswith(("o_proj.weight", "down_proj.weight"))
    }
    generator = torch.Generator().manual_seed(1)
    # The layers have the shape of the target's own layers, and three tensors more.
    block = {name: tensor for name, tensor in weights.items() if name.startswith("model.layers.1.")}
    for layer in range(layers):
        for name, tensor in block.items():
            noise = 1 + 0.1 * torch.randn(tensor.shape, generator=generator)
            weights[name.replace("model.layers.1.", f"mtp.layers.{layer}.")] = tensor * noise
        for name in ("enorm", "hnorm", "post_norm"):
            weights[f"mtp.layers.{layer}.{name}.weight"] = torch.ones(HIDDEN)
        weights[f"mtp.layers.{layer}.eh_proj.weight"] = torch.cat((torch.eye(HIDDEN), 0.1 * torch.eye(HIDDEN)), dim=1)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_glm_target(folder: Path, **sizes: int) -> Path:
    """A target of a kind that vLLM has too, with one layer; ``sizes`` change the config's.

    transformers looks for the layer behind 46 layers only, so that many the target has, all but one of them dense.
    """
    config_class: Any = Glm4MoeConfig
    settings: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "intermediate_size": 32,
        "num_hidden_layers": 46,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": CONTEXT,
        "moe_intermediate_size": 32,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 45,
        "num_mtp_layers": 1,
        "initializer_range": 0.25,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Glm4MoeForCausalLM(config_class(**settings | sizes)).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    hidden = weights["model.norm.weight"].shape[0]
    weights["model.embed_tokens.weight"] *= 4
    weights |= {
        name: 0.05 * tensor for name, tensor in weights.items() if name.endswith(("o_proj.weight", "down_proj.weight"))
    }
    generator = torch.Generator().manual_seed(1)
    block = {name: tensor for name, tensor in weights.items() if name.startswith("model.layers.45.")}
    for name, tensor in block.items():
        noise = 1 + 0.1 * torch.randn(tensor.shape, generator=generator)
        # What its attention sees must matter.
        scale = 5 if name.endswith("o_proj.weight") else 1
        weights[name.replace("layers.45.", "layers.46.")] = scale * tensor * noise
    for name in ("enorm", "hnorm", "shared_head.norm"):
        weights[f"model.layers.46.{name}.weight"] = torch.ones(hidden)
    weights["model.layers.46.eh_proj.weight"] = torch.cat((torch.eye(hidden), 0.1 * torch.eye(hidden)), dim=1)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
