"""Maps of pruned draft vocabularies, checked before any engine gets the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pytest_speedbench.config import DrafterMethod
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.fit import check_kind
from pytest_speedbench.errors import EngineError
from pytest_speedbench.pruning import draft_vocabulary
from tests.unit.engines.tiny_models import VOCAB, head_tensors, write_head, write_speculators_head

ROWS = 20
Tensors = dict[str, Tensor]


def zero(tensors: Tensors) -> None:
    tensors["d2t"].zero_()


def zero_alone(tensors: Tensors) -> None:
    zero(tensors)
    del tensors["t2d"]


def many_to_one(tensors: Tensors) -> None:
    tensors["d2t"][1] = tensors["d2t"][0] - 1


def as_float(tensors: Tensors) -> None:
    tensors["d2t"] = tensors["d2t"].float()


def as_bfloat16(tensors: Tensors) -> None:
    tensors["d2t"] = tensors["d2t"].bfloat16()


def absolute(tensors: Tensors) -> None:
    tensors["d2t"] += torch.arange(ROWS) + VOCAB


def too_short(tensors: Tensors) -> None:
    tensors["d2t"] = tensors["d2t"][:-1].clone()


def other_marks(tensors: Tensors) -> None:
    tensors["t2d"] = tensors["t2d"].roll(1)


def fewer_marks(tensors: Tensors) -> None:
    tensors["t2d"] = tensors["t2d"][:-1].clone()


DAMAGES = [
    (zero, "its maps d2t and t2d name different target tokens"),
    (zero_alone, "its map d2t is all zero, and no t2d says that it proposes the first 20 tokens"),
    (many_to_one, "does not give each row a target id of its own"),
    (as_float, "its map d2t holds float32 numbers, not whole ones"),
    (as_bfloat16, "its map d2t (is stored as BF16|holds float32 numbers)"),
    (absolute, "points outside the vocabulary of 48 tokens"),
    (too_short, r"its map d2t has the shape \[19\], and it has 20 output rows"),
    (other_marks, "its maps d2t and t2d name different target tokens"),
    (fewer_marks, r"its map t2d has the shape \[47\], and the target has 48 tokens"),
]


@pytest.mark.parametrize("write", [write_head, write_speculators_head])
@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_a_map_that_gives_other_tokens_is_refused(
    tmp_path: Path, write: Callable[..., Path], damage: Callable[[Tensors], None], words: str
) -> None:
    tensors = head_tensors(draft_vocab=ROWS)
    damage(tensors)
    folder = str(write(tmp_path / "head", tensors))
    with pytest.raises(EngineError, match=words):
        check_kind(open_checkpoint(folder, download=True), DrafterMethod.EAGLE3)
    with pytest.raises(EngineError, match=words):
        draft_vocabulary(folder)


def first_tokens(tensors: Tensors) -> None:
    zero(tensors)
    tensors["t2d"] = torch.arange(VOCAB) < ROWS


def without_marks(tensors: Tensors) -> None:
    del tensors["t2d"]


def as_int32(tensors: Tensors) -> None:
    tensors["d2t"] = tensors["d2t"].int()


@pytest.mark.parametrize("write", [write_head, write_speculators_head])
@pytest.mark.parametrize("change", [lambda _: None, first_tokens, without_marks, as_int32])
def test_a_map_that_is_one_passes(tmp_path: Path, write: Callable[..., Path], change: Callable[[Tensors], Any]) -> None:
    tensors = head_tensors(draft_vocab=ROWS)
    change(tensors)
    folder = str(write(tmp_path / "head", tensors))
    check_kind(open_checkpoint(folder, download=True), DrafterMethod.EAGLE3)
    assert draft_vocabulary(folder).tolist() == (tensors["d2t"] + torch.arange(ROWS)).tolist()
