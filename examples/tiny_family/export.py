"""Stage ``export``: the trained modules as checkpoints that engines load, and the pruned head cut from the full one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.corpus.conversation import CATEGORIES
from examples.tiny_family.eagle3 import Eagle3Head
from examples.tiny_family.model import MAX_POSITIONS, RMS_NORM_EPS, ROPE_THETA, Llama, LlamaShape
from examples.tiny_family.recipe import EAGLE3_AUX_LAYERS, PRUNED_VOCAB_SIZE, VOCAB_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    import tokenizers
    from numpy.typing import NDArray

    from examples.tiny_family.data import EncodedCorpus

CHECKPOINTS = ("target", "draft", "eagle3", "eagle3-pruned")


def export_llama(model: Llama, tokenizer: tokenizers.Tokenizer, folder: Path) -> None:
    """A tied ``LlamaForCausalLM`` with its tokenizer."""
    config = _config(model.shape, "LlamaForCausalLM") | {"tie_word_embeddings": True}
    _write(model, config, folder)
    chat_tokenizer.save(tokenizer, folder)
    generation = {"do_sample": False, "eos_token_id": chat_tokenizer.END_ID, "pad_token_id": chat_tokenizer.PAD_ID}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")


def export_eagle3(head: Eagle3Head, folder: Path) -> None:
    """An EAGLE-3 head over the whole vocabulary: no ``d2t`` and no ``t2d``."""
    _write(head, _eagle3_config(head.shape, VOCAB_SIZE), folder)


def export_pruned_eagle3(head: Eagle3Head, kept: Tensor, folder: Path) -> None:
    """The head with only the rows of the tokens ``kept`` (ascending ids, int64).

    ``d2t`` holds offsets, target id = draft id + ``d2t[draft id]``; ``t2d`` marks the kept tokens.
    """
    offsets = kept - torch.arange(len(kept))
    marks = torch.zeros(VOCAB_SIZE, dtype=torch.bool)
    marks[kept] = True
    rows = {"lm_head.weight": head.lm_head.weight.data[kept], "d2t": offsets, "t2d": marks}
    _write(head, _eagle3_config(head.shape, len(kept)), folder, replaced=rows)


def frequent_english_tokens(corpus: EncodedCorpus) -> Tensor:
    """Ids of the most frequent answer tokens outside the multilingual category, ascending; the special tokens included.

    That is how pruned heads are made in the field: frequencies of a mostly English text decide, and other languages
    pay for it.
    """
    english = np.repeat(corpus.categories != CATEGORIES.index("multilingual"), corpus.lengths)
    counts: NDArray[np.int64] = np.bincount(corpus.ids[english & corpus.answers], minlength=VOCAB_SIZE)
    counts[: len(chat_tokenizer.SPECIAL_TOKENS)] = counts.max() + 1
    kept = np.sort(np.argsort(-counts, kind="stable")[:PRUNED_VOCAB_SIZE])
    return torch.from_numpy(kept.astype(np.int64))


def load_llama(shape: LlamaShape, folder: Path) -> Llama:
    """The exported model in fp32, its weights rounded to bf16 as every engine will see them."""
    model = Llama(shape)
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})
    return model.eval()


def load_eagle3(shape: LlamaShape, folder: Path) -> Eagle3Head:
    """The exported full head in fp32, rounded likewise."""
    head = Eagle3Head(shape)
    head.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})
    return head.eval()


def install(built: Path, package_folder: Path) -> None:
    """Put all four checkpoints in place, each folder swapped by renaming so that no reader meets half of one."""
    package_folder.mkdir(parents=True, exist_ok=True)
    for name in CHECKPOINTS:
        fresh, place, old = (package_folder / part for part in (f".{name}.new", name, f".{name}.old"))
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(built / name, fresh)
        if place.exists():
            place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old, ignore_errors=True)


def _config(shape: LlamaShape, architecture: str) -> dict[str, Any]:
    return {
        "architectures": [architecture],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": RMS_NORM_EPS,
        "rope_theta": ROPE_THETA,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": chat_tokenizer.END_ID,
        "pad_token_id": chat_tokenizer.PAD_ID,
    }


def _eagle3_config(shape: LlamaShape, draft_vocab_size: int) -> dict[str, Any]:
    return _config(shape, "LlamaForCausalLMEagle3") | {
        "tie_word_embeddings": False,
        "draft_vocab_size": draft_vocab_size,
        "eagle_config": {
            "use_aux_hidden_state": True,
            "eagle_aux_hidden_state_layer_ids": list(EAGLE3_AUX_LAYERS),
        },
    }


def _write(module: nn.Module, config: dict[str, Any], folder: Path, replaced: dict[str, Tensor] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = module.state_dict() | (replaced or {})
    rounded = {
        name: (tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in tensors.items()
    }
    save_file(rounded, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
