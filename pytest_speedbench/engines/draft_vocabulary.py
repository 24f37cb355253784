"""The map of a pruned draft vocabulary, checked once for every engine: which target id each output row proposes.

``d2t`` holds offsets (target id = draft id + ``d2t[draft id]``), ``t2d`` marks the target ids that can be proposed. A
wrong map does not stop an engine: the drafter proposes other tokens, and its acceptance falls. Imports no torch, and
numpy only for a drafter that has a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.safetensors_header import TensorEntry
from pytest_speedbench.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OFFSETS, MARKS = "d2t", "t2d"


def check_draft_map(drafter: Checkpoint) -> None:
    """Check the map of a drafter that has one, as far as its safetensors files tell without loading them.

    Raises:
        EngineError: it gives no target id of its own to each row, or contradicts itself.
    """
    entries = drafter.plain_tensors or {}
    if OFFSETS not in entries:
        return
    vocab_size = drafter.size("vocab_size")
    if vocab_size is None:
        return
    offsets = _read(drafter, entries, OFFSETS)
    marks = _read(drafter, entries, MARKS) if MARKS in entries else None
    rows = drafter.size("draft_vocab_size") or vocab_size
    try:
        target_ids(offsets, marks, rows, vocab_size)
    except ValueError as error:
        raise refused_map(drafter, str(error)) from None


def _read(drafter: Checkpoint, entries: Mapping[str, TensorEntry], name: str) -> NDArray[np.generic]:
    values = entries[name].read()
    if values is None:
        raise refused_map(drafter, f"its map {name} is stored as {entries[name].dtype}")
    return values


def refused_map(drafter: Checkpoint, why: str) -> EngineError:
    """The refusal of a drafter whose map is no map; ``why`` goes on after a colon."""
    return EngineError(
        f"The draft vocabulary of {drafter.reference!r} cannot be read: {why}.",
        f"Write {OFFSETS} as offsets, target id less draft id, in whole numbers, and {MARKS} to match.",
    )


def target_ids(
    offsets: NDArray[np.generic], marks: NDArray[np.generic] | None, rows: int, vocab_size: int
) -> NDArray[np.int64]:
    """The target id of each output row.

    Args:
        offsets: ``d2t``.
        marks: ``t2d``; ``None`` if there is none.
        rows: output rows of the drafter.
        vocab_size: tokens of the target.

    Raises:
        ValueError: what is wrong with the map, in words that go on after a colon.
    """
    import numpy as np

    if offsets.dtype.kind not in "iu":
        raise ValueError(f"its map {OFFSETS} holds {offsets.dtype} numbers, not whole ones")
    if offsets.shape != (rows,):
        raise ValueError(f"its map {OFFSETS} has the shape {list(offsets.shape)}, and it has {rows} output rows")
    ids = offsets.astype(np.int64) + np.arange(rows)
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise ValueError(
            f"its map {OFFSETS} points outside the vocabulary of {vocab_size} tokens and so does not give each row a "
            "target id of its own"
        )
    if len(np.unique(ids)) != rows:
        raise ValueError(f"its map {OFFSETS} does not give each row a target id of its own")
    if marks is not None:
        _check_marks(marks, ids, vocab_size)
    elif rows < vocab_size and not offsets.any():
        # What a map looks like that was never filled in; a drafter of the first tokens has marks that say so.
        raise ValueError(f"its map {OFFSETS} is all zero, and no {MARKS} says that it proposes the first {rows} tokens")
    return ids


def _check_marks(marks: NDArray[np.generic], ids: NDArray[np.int64], vocab_size: int) -> None:
    import numpy as np

    if marks.shape != (vocab_size,):
        raise ValueError(f"its map {MARKS} has the shape {list(marks.shape)}, and the target has {vocab_size} tokens")
    if not np.array_equal(np.flatnonzero(marks), np.sort(ids)):
        raise ValueError(f"its maps {OFFSETS} and {MARKS} name different target tokens")
