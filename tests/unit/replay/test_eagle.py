"""EAGLE heads replayed, against a reference that drafts token by token; and heads that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Drafter, EngineArg, Pair
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.replay.checks import check_pair
from pytest_speedbench.engines.replay.judges import load_judge
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput, read_outputs
from tests.unit.replay.reference_eagle import ReferenceEagle

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")
HEAD = Path(__file__).resolve().parents[2] / "data" / "eagle"
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def rows() -> tuple[StoredOutput, ...]:
    return read_outputs(OUTPUTS).rows[::50]


def replay_pair(head: Path | str, draft_length: int = 3) -> Pair:
    args: dict[str, EngineArg] = {"outputs": str(OUTPUTS), "dtype": "float32", "batch_tokens": 600}
    return Pair("tiny-eagle", "replay", "bundled:target", Drafter.parse(f"eagle:{head}", draft_length), args)


def changed_head(folder: Path, change: Callable[[Tensors], object] = lambda _: None, **config: Any) -> Path:
    """A copy of the head with other tensors or settings."""
    shutil.copytree(HEAD, folder)
    tensors = load_file(HEAD / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(json.loads((HEAD / "config.json").read_text()) | config))
    return folder


def counted(pair: Pair, rows: tuple[StoredOutput, ...]) -> list[tuple[int, ...]]:
    """Histograms of accepted drafts, by output."""
    assert pair.drafter is not None
    length = pair.drafter.draft_length
    check_pair(pair)
    reaches = load_judge(pair, pair.drafter, ReplayOptions.parse(pair.engine_args), 2048)(rows)
    return [record_of(stored, reach, length, 2048).histogram for stored, reach in zip(rows, reaches, strict=True)]


@pytest.mark.parametrize("draft_length", [1, 3, 6])
def test_every_step_accepts_what_the_reference_accepts(rows: tuple[StoredOutput, ...], draft_length: int) -> None:
    reference = ReferenceEagle(BUNDLED_FOLDER / "target", HEAD)
    expected = [
        reference.accepted(stored.prompt_ids, stored.continued, len(stored.output_ids), draft_length) for stored in rows
    ]
    assert counted(replay_pair(HEAD, draft_length), rows) == [
        tuple(steps.count(accepted) for accepted in range(draft_length + 1)) for steps in expected
    ]
    assert {accepted for steps in expected for accepted in steps} == set(range(draft_length + 1))


def test_a_bias_and_an_embedding_of_its_own_are_used(rows: tuple[StoredOutput, ...], tmp_path: Path) -> None:
    def add(tensors: Tensors) -> None:
        generator = torch.Generator().manual_seed(0)
        tensors["fc.bias"] = 0.3 * torch.randn(256, generator=generator)
        tensors["embed_tokens.weight"] = load_file(BUNDLED_FOLDER / "target" / "model.safetensors")[
            "model.embed_tokens.weight"
        ]

    head = changed_head(tmp_path / "head", add)
    reference = ReferenceEagle(BUNDLED_FOLDER / "target", head)
    steps = [reference.accepted(row.prompt_ids, row.continued, len(row.output_ids), 3) for row in rows[:3]]
    found = counted(replay_pair(head), rows[:3])
    assert found == [tuple(own.count(accepted) for accepted in range(4)) for own in steps]
    assert found != counted(replay_pair(HEAD), rows[:3])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"num_hidden_layers": 2}, "no EAGLE head that can be replayed: num_hidden_layers is 2"),
        ({"hidden_act": "gelu"}, "hidden_act is gelu"),
        ({"attention_bias": True}, "attention_bias is set"),
        ({"architectures": ["EagleDeepSeekMTPModel"]}, "its architecture is EagleDeepSeekMTPModel"),
        ({"architectures": ["LlamaForCausalLMEagle3"]}, "is an EAGLE-3 head. Use eagle3:MODEL"),
        ({"vocab_size": 1024}, "has a vocabulary of 1024 tokens, the target 'bundled:target' one of 4096"),
        ({"hidden_size": 512}, "reads hidden states of width 512, the target 'bundled:target' has 256"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    head = replay_pair(changed_head(tmp_path / "head", **config))
    with pytest.raises(EngineError, match=said):
        counted(head, ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("fc.weight"), "lacks the tensors fc.weight. Give a complete EAGLE head"),
        (
            lambda tensors: tensors.update({"lm_head.weight": torch.zeros(4096, 256)}),
            "has tensors that would be left out: lm_head.weight",
        ),
        (
            lambda tensors: tensors.update({"fc.weight": torch.zeros(256, 768)}),
            r"does not fit: fc.weight has the shape \[256, 768\], and \[256, 512\] is needed",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[Tensors], object], said: str) -> None:
    with pytest.raises(EngineError, match=said):
        counted(replay_pair(changed_head(tmp_path / "head", change)), ())


def test_a_language_model_is_no_head() -> None:
    with pytest.raises(EngineError, match="num_hidden_layers is 4"):
        counted(replay_pair("bundled:target"), ())


def test_the_committed_head_is_small() -> None:
    assert (HEAD / "model.safetensors").stat().st_size < 1_000_000
