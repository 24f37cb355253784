"""From the family's dense target to a mixture of experts that speaks the same language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from transformers import MixtralConfig, MixtralForCausalLM

from examples.tiny_family.model import MAX_POSITIONS, RMS_NORM_EPS, ROPE_THETA
from examples.tiny_family.recipe import TARGET_SHAPE, VOCAB_SIZE
from examples.tiny_family.tokenizer import END_ID, PAD_ID

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

EXPERTS = 32
TOP_K = 2
EXPERT_SIZE = 256
"""Neurons of one expert: half of the dense feed-forward's, so that two experts compute what it did."""


def moe_config(**changes: Any) -> MixtralConfig:
    """A Mixtral with the target's sizes: the architecture whose attention is Llama's."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": TARGET_SHAPE.hidden_size,
        "intermediate_size": EXPERT_SIZE,
        "num_hidden_layers": TARGET_SHAPE.layers,
        "num_attention_heads": TARGET_SHAPE.heads,
        "num_key_value_heads": TARGET_SHAPE.kv_heads,
        "head_dim": TARGET_SHAPE.head_dim,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": TOP_K,
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": RMS_NORM_EPS,
        "rope_theta": ROPE_THETA,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": END_ID,
        "pad_token_id": PAD_ID,
    }
    return MixtralConfig(**{**sizes, **changes})


def upcycle(dense_folder: Path, seed: int) -> Any:
    """A ``MixtralForCausalLM`` in fp32 from the dense target's weights (sparse upcycling, arXiv:2212.05055).

    Everything but the feed-forwards is copied. Identical copies of a feed-forward would give the router nothing to
    choose between, so each expert takes its own random half of the neurons, with the output doubled: the routers'
    weights sum to 1, and the expectation over experts is the dense layer. Routers start random and small.
    """
    dense = {name: tensor.float() for name, tensor in load_file(dense_folder / "model.safetensors").items()}
    generator = torch.Generator().manual_seed(seed)
    model: Any = MixtralForCausalLM(moe_config())
    fresh: dict[str, Tensor] = model.state_dict()
    mixed: dict[str, Tensor] = {name: dense[name] for name in fresh if name in dense}
    mixed["lm_head.weight"] = dense["model.embed_tokens.weight"]
    for layer in range(TARGET_SHAPE.layers):
        ours, theirs = f"model.layers.{layer}.mlp", f"model.layers.{layer}.mlp"
        gate, up, down = (dense[f"{theirs}.{name}_proj.weight"] for name in ("gate", "up", "down"))
        halves = [torch.randperm(len(gate), generator=generator)[:EXPERT_SIZE] for _ in range(EXPERTS)]
        mixed[f"{ours}.experts.gate_up_proj"] = torch.stack([torch.cat((gate[half], up[half])) for half in halves])
        mixed[f"{ours}.experts.down_proj"] = torch.stack([2.0 * down[:, half] for half in halves])
        mixed[f"{ours}.gate.weight"] = 0.02 * torch.randn(EXPERTS, TARGET_SHAPE.hidden_size, generator=generator)
    model.load_state_dict(mixed)
    return model
