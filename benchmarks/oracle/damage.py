"""Copies of the bundled EAGLE-3 head that are worse in known ways, though by an unknown amount."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEAD = "eagle3"


def noisy_head(folder: Path, strength: float, seed: int = 0) -> Path:
    """Gaussian noise on every weight matrix, its standard deviation ``strength`` times the matrix's own."""
    _copy(folder)
    tensors = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    for name, weight in tensors.items():
        if weight.ndim == 2:
            noise = strength * weight.float().std() * torch.randn(weight.shape, generator=generator)
            tensors[name] = (weight.float() + noise).to(weight.dtype)
    save_file(tensors, folder / "model.safetensors")
    return folder


def head_reading_layers(folder: Path, layers: Sequence[int]) -> Path:
    """The head fed with the residual streams after these layers of the target instead of those it was trained on."""
    _copy(folder)
    config = json.loads((folder / "config.json").read_text())
    config["eagle_config"]["eagle_aux_hidden_state_layer_ids"] = list(layers)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return folder


def _copy(folder: Path) -> None:
    shutil.copytree(BUNDLED_FOLDER / _HEAD, folder, dirs_exist_ok=True)
