"""Medusa heads against the reference that real vLLM agrees with, step by step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.engines.replay.judges import load_judge
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import Outputs, read_outputs
from tests.real.vllm.medusa import ReferenceMedusa, medusa_checkpoint

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")


@pytest.fixture(scope="module")
def outputs() -> Outputs:
    return read_outputs(OUTPUTS)


def test_every_step_accepts_what_the_reference_accepts(outputs: Outputs, tmp_path: Path) -> None:
    folder = medusa_checkpoint(tmp_path / "medusa")
    drafter = Drafter.parse(f"medusa:{folder}", 3)
    pair = Pair("tiny-medusa", "replay", "bundled:target", drafter)
    options = ReplayOptions.parse({"outputs": str(OUTPUTS), "dtype": "float32", "batch_tokens": 500})
    rows = outputs.rows[::12]
    reference = ReferenceMedusa(folder)
    for stored, reach in zip(rows, load_judge(pair, drafter, options, 2048)(rows), strict=True):
        record = record_of(stored, reach, 3, 2048)
        emitted = reference.emitted_tokens(stored.prompt_ids, stored.output_ids)
        assert record.decode_steps == len(emitted) - 1
        if record.discarded_tokens == 0:
            counted = [tokens - 1 for tokens in emitted[1:]]
            assert record.histogram == tuple(counted.count(j) for j in range(4))


@pytest.mark.parametrize("name", ["token_map", "blocks.0.layers.1.weight"])
def test_a_tensor_that_would_be_left_out_is_named(tmp_path: Path, name: str) -> None:
    folder = medusa_checkpoint(tmp_path / "medusa")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, name: torch.zeros(4)}, folder / "model.safetensors", metadata={"format": "pt"})
    drafter = Drafter.parse(f"medusa:{folder}", 3)
    pair = Pair("tiny-medusa", "replay", "bundled:target", drafter)
    options = ReplayOptions.parse({"outputs": str(OUTPUTS), "dtype": "float32"})
    with pytest.raises(EngineError, match=f"has tensors that would be left out: {name}"):
        load_judge(pair, drafter, options, 2048)
