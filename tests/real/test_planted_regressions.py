"""The gate on the real family: regressions are found where they were planted, and nothing where nothing is.

Everything here is gated against the committed baseline of the good head.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from pytest_speedbench import Speedbench
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.errors import RegressionError
from pytest_speedbench.gate import GateResult, Verdict

GOOD = "tiny-eagle3"


def regressed(result: GateResult) -> set[str]:
    return {row.name for row in result.rows if row.verdict is Verdict.REGRESSION}


@pytest.fixture(scope="module")
def head_without_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The good head, damaged so that it never drafts a digit."""
    folder = tmp_path_factory.mktemp("heads") / "without-digits"
    shutil.copytree(BUNDLED_FOLDER / "eagle3", folder)
    tensors = load_file(folder / "model.safetensors")
    vocabulary = AutoTokenizer.from_pretrained(BUNDLED_FOLDER / "target").get_vocab()
    digits = [token_id for token, token_id in vocabulary.items() if token.strip("Ġ ").isdecimal()]
    assert len(digits) >= 10
    tensors["lm_head.weight"][torch.tensor(digits)] = 0
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def noisy_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The good head with seeded Gaussian noise of half their spread on all weights."""
    folder = tmp_path_factory.mktemp("heads") / "noisy"
    shutil.copytree(BUNDLED_FOLDER / "eagle3", folder)
    tensors = load_file(folder / "model.safetensors")
    noise = torch.Generator().manual_seed(0)
    for name, weight in tensors.items():
        if weight.ndim == 2:
            spread = weight.float().std()
            tensors[name] = (weight + 0.5 * spread * torch.randn(weight.shape, generator=noise)).to(weight.dtype)
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_pruned_vocabulary_costs_the_multilingual_users(speedbench: Speedbench) -> None:
    measurement = speedbench.measure("mini", pair="tiny-eagle3-pruned")
    result = measurement.gate(baseline=GOOD)
    assert regressed(result) == {"multilingual"}
    (row,) = (row for row in result.rows if row.name == "multilingual")
    macro = row.change_of("al_macro")
    assert macro is not None
    assert macro.change < -0.25
    with pytest.raises(RegressionError, match=r"multilingual: AL macro \d\.\d+ -> \d\.\d+, -\d+\.\d%"):
        measurement.assert_no_regression(baseline=GOOD)


def test_a_head_that_drafts_no_digits_fails_where_there_are_digits(
    speedbench: Speedbench, head_without_digits: Path
) -> None:
    result = speedbench.measure("mini", pair=GOOD, drafter=f"eagle3:{head_without_digits}").gate()
    found = regressed(result)
    assert "math" in found
    assert not found & {"writing", "roleplay", "humanities"}


def test_a_noisy_head_fails_overall(speedbench: Speedbench, noisy_head: Path) -> None:
    result = speedbench.measure("mini", pair=GOOD, drafter=f"eagle3:{noisy_head}").gate()
    assert result.failed
    assert result.overall is not None
    assert result.overall.verdict is Verdict.REGRESSION
    assert {"coding", "math"} <= regressed(result)


def test_the_good_head_passes_against_itself_ten_times(speedbench: Speedbench) -> None:
    for _ in range(10):
        measurement = speedbench.measure("mini", pair=GOOD, prompts=44, fresh=True)
        measurement.assert_no_regression()
