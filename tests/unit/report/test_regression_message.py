"""The message of a failed gate where the head's draft vocabulary cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.config import Drafter
from pytest_speedbench.gate import compare
from pytest_speedbench.gate.pairing import pair_up
from pytest_speedbench.measure.run import Run
from pytest_speedbench.report.regression import regression_message
from tests.unit.engines.tiny_models import head_tensors, write_head, write_speculators_head
from tests.unit.metrics.runs import conversation, run, turn


def measured(accepted: int, drafter: str) -> Run:
    found = run([conversation(f"qa-{number}", "qa", turn([accepted] * (9 + number))) for number in range(6)])
    return replace(found, pair=replace(found.pair, drafter=Drafter.parse(drafter)))


def message(drafter: str) -> str:
    before, after = measured(2, drafter), measured(1, drafter)
    return regression_message(compare(pair_up(before, [after])), before, [after])


@pytest.mark.parametrize("write", [write_head, write_speculators_head])
def test_the_share_outside_is_told_in_both_layouts(tmp_path: Path, write: object) -> None:
    assert callable(write)
    head = write(tmp_path / "head", head_tensors(draft_vocab=20))
    assert "outside" in message(f"eagle3:{head}")
    assert "not known" not in message(f"eagle3:{head}")


def test_a_vocabulary_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    tensors = head_tensors(draft_vocab=20)
    del tensors["d2t"]
    head = write_head(tmp_path / "head", tensors)
    assert "What lies outside of its draft vocabulary is not known. The draft vocabulary of" in message(
        f"eagle3:{head}"
    )
