"""EAGLE-3 heads: the draft vocabulary of one, and a copy of it that can propose fewer tokens.

A pruned head is a slice of the full one: the kept rows of ``lm_head`` in ascending order of their target ids, ``d2t``
(int64 offsets: target id = draft id + ``d2t[draft id]``), ``t2d`` (bool, true for kept target ids) and the new
``draft_vocab_size``. Nothing is retrained and no other weight changes. A head that is pruned already is cut further.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.draft_vocabulary import MARKS, OFFSETS, refused_map, target_ids
from pytest_speedbench.engines.drafter_kinds import DrafterKind, kind_of
from pytest_speedbench.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_OUTPUT_ROWS = "lm_head.weight"
_MAPS = (OFFSETS, MARKS)


def draft_vocabulary(reference: str) -> NDArray[np.int64]:
    """The target ids that an EAGLE-3 head can propose, in the order of its output rows; all of them for a full head.

    Args:
        reference: ``bundled:NAME``, a folder, or a hub id (downloaded if it is not in the cache).

    Raises:
        EngineError: no such head, or one of another layout.
    """
    return _Head.open(reference).ids


def prune_head(reference: str, kept_ids: Iterable[int], folder: Path) -> None:
    """Write a copy of an EAGLE-3 head that proposes nothing but ``kept_ids``.

    ``folder`` gets ``config.json`` and ``model.safetensors``; it is made if it does not exist. When every token of the
    target is kept, the copy is a full head and has no maps, as engines expect of one.

    Args:
        reference: the head to cut, as in :func:`draft_vocabulary`.
        kept_ids: target ids, in any order.
        folder: where the copy goes. Files of those two names are overwritten.

    Raises:
        EngineError: no such head, or one of another layout.
        ConfigError: no ids, ids that the head cannot propose, or the head's own folder.
    """
    head = _Head.open(reference)
    kept = np.unique(np.fromiter(kept_ids, np.int64))
    unknown = np.setdiff1d(kept, head.ids)
    if not kept.size or unknown.size:
        problem = f"cannot propose token {unknown[0]}" if unknown.size else "would be left without any token"
        raise ConfigError(
            f"The head {reference!r} {problem}.",
            "Keep at least one token, and only tokens of its own draft vocabulary.",
        )
    if folder.resolve() == head.checkpoint.folder.resolve():
        raise ConfigError(f"{folder} holds the head that is to be cut.", "Name another folder for the copy.")
    head.write(kept, folder)


@dataclass(frozen=True, slots=True)
class _Head:
    """A head as read: ``tensors`` by their names in the file, ``ids`` the target id of each output row."""

    checkpoint: Checkpoint
    tensors: dict[str, Any]
    rows_name: str
    ids: NDArray[np.int64]
    vocab_size: int

    @classmethod
    def open(cls, reference: str) -> _Head:
        checkpoint = open_checkpoint(reference, download=True)
        if kind_of(checkpoint) not in (DrafterKind.EAGLE3, DrafterKind.P_EAGLE):
            found = ", ".join(checkpoint.architectures) or "none"
            raise _refusal(checkpoint, f"its config.json gives the architecture {found}")
        vocab_size = checkpoint.size("vocab_size")
        if vocab_size is None:
            raise _refusal(checkpoint, "its config.json gives no vocab_size")
        tensors = _read(checkpoint)
        output = [name for name in tensors if "lm_head." in name]
        if len(output) != 1 or output[0].removeprefix("model.") != _OUTPUT_ROWS:
            held = ", ".join(output) or "no lm_head"
            raise _refusal(checkpoint, f"it holds {held} where lm_head.weight alone is known")
        rows = len(tensors[output[0]])
        return cls(checkpoint, tensors, output[0], _target_ids(checkpoint, tensors, rows, vocab_size), vocab_size)

    def write(self, kept: NDArray[np.int64], folder: Path) -> None:
        """Write the slice of the ids ``kept``, which are ascending and all known."""
        import torch
        from safetensors.torch import save_file

        row_of = np.full(self.vocab_size, -1, np.int64)
        row_of[self.ids] = np.arange(len(self.ids))
        tensors = {name: tensor for name, tensor in self.tensors.items() if _plain(name) not in _MAPS}
        rows = torch.from_numpy(row_of[kept]).to(tensors[self.rows_name].device)
        tensors[self.rows_name] = tensors[self.rows_name][rows]
        if len(kept) < self.vocab_size:
            marks = torch.zeros(self.vocab_size, dtype=torch.bool)
            marks[torch.from_numpy(kept)] = True
            prefix = self.rows_name.removesuffix(_OUTPUT_ROWS)
            tensors[f"{prefix}d2t"] = torch.from_numpy(kept - np.arange(len(kept)))
            tensors[f"{prefix}t2d"] = marks
        folder.mkdir(parents=True, exist_ok=True)
        plain = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
        config = {**self.checkpoint.config, "draft_vocab_size": len(kept)}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _read(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError:
        raise EngineError(
            f"The head {checkpoint.reference!r} cannot be read: torch or safetensors is not installed.",
            'Run: pip install "pytest-speedbench[transformers]".',
        ) from None
    tensors: dict[str, Any] = {}
    for path in checkpoint.weight_files():
        try:
            if path.suffix == ".safetensors":
                tensors.update(load_file(path))
            else:
                tensors.update(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:
            raise EngineError(f"{path} cannot be read: {error}", "Restore the head's weights.") from error
    return tensors


def _target_ids(checkpoint: Checkpoint, tensors: dict[str, Any], rows: int, vocab_size: int) -> NDArray[np.int64]:
    stated = checkpoint.size("draft_vocab_size") or vocab_size
    if rows != stated:
        raise _refusal(checkpoint, f"lm_head.weight has {rows} rows and the config says {stated}")
    offsets, marks = (_array_of(tensors, name) for name in _MAPS)
    if offsets is None:
        if rows != vocab_size:
            raise _refusal(checkpoint, f"it has {rows} of {vocab_size} rows and no map d2t")
        return np.arange(vocab_size, dtype=np.int64)
    try:
        return target_ids(offsets, marks, rows, vocab_size)
    except ValueError as error:
        raise refused_map(checkpoint, str(error)) from None


def _array_of(tensors: dict[str, Any], wanted: str) -> NDArray[np.generic] | None:
    tensor = next((tensor for name, tensor in tensors.items() if _plain(name) == wanted), None)
    if tensor is None:
        return None
    # numpy has no bfloat16; that the numbers are no whole ones is seen all the same.
    values: NDArray[np.generic] = (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
    return values


def _plain(name: str) -> str:
    return name.removeprefix("model.")


def _refusal(checkpoint: Checkpoint, why: str) -> EngineError:
    return EngineError(
        f"The draft vocabulary of {checkpoint.reference!r} cannot be read: {why}.",
        "Give an EAGLE-3 head (LlamaForCausalLMEagle3) with its own lm_head.weight and, if it is pruned, offsets d2t.",
    )
