"""The Medusa drafter for the bundled target: its checkpoint made whole, and its drafts computed without an engine.

Its blocks are in ``tests/data/medusa``; ``examples/tiny_family/train_medusa.py`` makes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import LlamaForCausalLM

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

BLOCKS_FOLDER = Path(__file__).resolve().parents[2] / "data" / "medusa"
TARGET_FOLDER = BUNDLED_FOLDER / "target"


def medusa_checkpoint(folder: Path) -> Path:
    """Write the committed blocks to ``folder`` together with the head they share, the target's tied embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(BLOCKS_FOLDER / "config.json", folder)
    tensors = load_file(BLOCKS_FOLDER / "model.safetensors")
    tensors["lm_head.weight"] = load_file(TARGET_FOLDER / "model.safetensors")["model.embed_tokens.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


class ReferenceMedusa:
    """Target and heads in fp32 over finished texts: what greedy speculation must emit, step by step.

    Args:
        folder: the checkpoint that :func:`medusa_checkpoint` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._target: Any = LlamaForCausalLM.from_pretrained(TARGET_FOLDER, dtype=torch.float32)
        self._tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        self._heads = sum(name.endswith(".layers.0.weight") for name in self._tensors)

    @torch.inference_mode()
    def emitted_tokens(self, prompt_ids: Sequence[int], output_ids: Sequence[int]) -> list[int]:
        """Tokens of every step for this output, the prefill's one first; the last step is cut at the output's end."""
        ids = [*prompt_ids, *output_ids]
        # The states after the final norm. Head k at the state that gave token t drafts token t + 1 + k.
        states = self._target.model(torch.tensor([ids])).last_hidden_state[0]
        drafts = torch.stack([self._draft(head, states) for head in range(self._heads)], dim=1).tolist()
        steps, reached = [1], len(prompt_ids) + 1
        while reached < len(ids):
            accepted = 0
            for draft, token in zip(drafts[reached - 2], ids[reached:], strict=False):
                if draft != token:
                    break
                accepted += 1
            steps.append(min(accepted + 1, len(ids) - reached))
            reached += steps[-1]
        return steps

    def _draft(self, head: int, states: torch.Tensor) -> torch.Tensor:
        w = self._tensors
        weight, bias = (w[f"blocks.{head}.layers.0.{name}"] for name in ("weight", "bias"))
        states = states + functional.silu(functional.linear(states, weight, bias))
        return functional.linear(states, w["lm_head.weight"]).argmax(-1)
