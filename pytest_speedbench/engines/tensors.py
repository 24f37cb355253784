"""What tensors a checkpoint holds, from the heads of its files. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_speedbench.engines.checkpoints import Checkpoint

_INDEX = "model.safetensors.index.json"
_LONGEST_HEAD = 100_000_000  # as safetensors itself allows


def tensor_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The names of the tensors in a checkpoint's safetensors files; empty where they cannot be read.

    Files that cannot be read are refused by whoever loads them, in better words.
    """
    index = checkpoint.folder / _INDEX
    try:
        if index.is_file():
            return tuple(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        files = [path for path in checkpoint.weight_files() if path.suffix == ".safetensors"]
        return tuple(name for path in files for name in _head(path) if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _head(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEAD:
            return {}
        head = json.loads(file.read(length) or b"{}")
    return head if isinstance(head, dict) else {}
