"""Random tiny models in the checkpoint layouts. Their acceptance means nothing; their arithmetic does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

VOCAB, HIDDEN, LAYERS, CONTEXT, EOS = 48, 32, 4, 160, 0


@dataclass(frozen=True)
class Models:
    """Folders of a family: a target with the drafters made for it."""

    target: Path
    draft: Path
    head: Path
    pruned_head: Path


def write_all(folder: Path) -> Models:
    target = write_llama(folder / "target")
    return Models(
        target=target,
        draft=write_noisy_copy(target, folder / "draft", noise=0.05),
        head=write_head(folder / "head"),
        pruned_head=write_head(folder / "pruned", head_tensors(draft_vocab=20)),
    )


def llama_config(**changes: Any) -> LlamaConfig:
    sizes: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": EOS,
        "pad_token_id": None,
        "initializer_range": 0.25,
    }
    return LlamaConfig(**{**sizes, **changes})


def load(model_class: Any, folder: Path) -> Any:
    """A transformers model from a folder, ready to run."""
    return model_class.from_pretrained(folder).eval()


def write_llama(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random target or draft model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(llama_config(**changes)).save_pretrained(folder)
    return folder


def write_noisy_copy(source: Path, folder: Path, noise: float, seed: int = 1) -> Path:
    """A draft model that agrees with its target often but not always."""
    model = LlamaForCausalLM.from_pretrained(source)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=noise * float(weight.std(correction=0)))
    model.save_pretrained(folder)
    return folder


def head_tensors(seed: int = 2, draft_vocab: int = VOCAB, own_embedding: bool = False) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float = 0.3) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    tensors = {
        "fc.weight": random(HIDDEN, 3 * HIDDEN),
        **{f"midlayer.self_attn.{name}_proj.weight": random(32 if name == "q" else 16, 2 * HIDDEN) for name in "qkv"},
        "midlayer.self_attn.o_proj.weight": random(HIDDEN, 32),
        "midlayer.mlp.gate_proj.weight": random(40, HIDDEN),
        "midlayer.mlp.up_proj.weight": random(40, HIDDEN),
        "midlayer.mlp.down_proj.weight": random(HIDDEN, 40),
        **{
            f"midlayer.{name}.weight": 1 + random(HIDDEN)
            for name in ("hidden_norm", "input_layernorm", "post_attention_layernorm")
        },
        "norm.weight": 1 + random(HIDDEN),
        "lm_head.weight": random(draft_vocab, HIDDEN),
    }
    if own_embedding:
        tensors["embed_tokens.weight"] = random(VOCAB, HIDDEN)
    if draft_vocab != VOCAB:
        kept = torch.randperm(VOCAB, generator=generator)[:draft_vocab].sort().values
        tensors["d2t"] = kept - torch.arange(draft_vocab)
        tensors["t2d"] = torch.zeros(VOCAB, dtype=torch.bool).index_fill(0, kept, True)
    return tensors


def head_config(draft_vocab: int = VOCAB, **changes: Any) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "vocab_size": VOCAB,
        "draft_vocab_size": draft_vocab,
        "hidden_size": HIDDEN,
        "intermediate_size": 40,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "eagle_config": {"use_aux_hidden_state": True, "eagle_aux_hidden_state_layer_ids": [1, 3, 4]},
        **changes,
    }


def extra_norms(*names: str, seed: int = 8) -> dict[str, Tensor]:
    """Gains of the norms that some heads have beside the others: ``input_norm``, ``fc_norm``, ``qk_norm``."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {
        "input_norm": {"input_norm.weight": 3 * HIDDEN},
        "fc_norm": {f"fc_norm.{state}.weight": HIDDEN for state in range(3)},
        "qk_norm": {f"midlayer.self_attn.{name}_norm.weight": 8 for name in "qk"},
    }
    return {
        tensor: 1 + 0.3 * torch.randn(size, generator=generator)
        for name in names
        for tensor, size in sizes[name].items()
    }


def in_speculators_layout(config: dict[str, Any], **own: Any) -> dict[str, Any]:
    """The config of a flat EAGLE-3 head as speculators would write it."""
    elsewhere = ("architectures", "draft_vocab_size", "eagle_config")
    return {
        "architectures": ["Eagle3Speculator"],
        "speculators_model_type": "eagle3",
        "speculators_version": "0.9.0",
        "draft_vocab_size": config["draft_vocab_size"],
        "norm_before_residual": False,
        "eagle_aux_hidden_state_layer_ids": config["eagle_config"]["eagle_aux_hidden_state_layer_ids"],
        "speculators_config": {
            "algorithm": "eagle3",
            "default_proposal_method": "greedy",
            "proposal_methods": [{"proposal_type": "greedy", "speculative_tokens": 3}],
            "verifier": {"name_or_path": None, "architectures": ["LlamaForCausalLM"]},
        },
        "transformer_layer_config": {name: value for name, value in config.items() if name not in elsewhere},
        **own,
    }


def write_speculators_head(
    folder: Path, tensors: dict[str, Tensor] | None = None, layer: dict[str, Any] | None = None, **own: Any
) -> Path:
    """A random EAGLE-3 head in speculators' layout; ``layer`` changes its layer's fields, ``own`` the head's."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = head_tensors() if tensors is None else tensors
    flat = head_config(len(tensors["lm_head.weight"]), **(layer or {}))
    (folder / "config.json").write_text(json.dumps(in_speculators_layout(flat, **own)), encoding="utf-8")
    renamed = {name.replace("midlayer.", "layers.0."): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors")
    return folder


def write_head(folder: Path, tensors: dict[str, Tensor] | None = None, **changes: Any) -> Path:
    """A random EAGLE-3 head."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = head_tensors() if tensors is None else tensors
    config = head_config(len(tensors["lm_head.weight"]), **changes)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(tensors, folder / "model.safetensors")
    return folder
