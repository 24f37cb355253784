"""An EAGLE head of random weights: it drafts, hardly anything is accepted, and the output stays the target's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pytest_speedbench import Speedbench
from pytest_speedbench.baselines import load_baseline
from pytest_speedbench.baselines.schema import prompt_entries
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from tests.real.vllm.conftest import vllm_pair

BASELINES = Path(__file__).resolve().parents[3] / "baselines"
HIDDEN, INTERMEDIATE, QUERIES, KEYS = 256, 384, 256, 128


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in EAGLE's layout: one layer behind a projection of embedding and hidden state."""
    folder = tmp_path_factory.mktemp("eagle")
    shapes = {
        "fc.weight": (HIDDEN, 2 * HIDDEN),
        "layers.0.self_attn.q_proj.weight": (QUERIES, HIDDEN),
        "layers.0.self_attn.k_proj.weight": (KEYS, HIDDEN),
        "layers.0.self_attn.v_proj.weight": (KEYS, HIDDEN),
        "layers.0.self_attn.o_proj.weight": (HIDDEN, QUERIES),
        "layers.0.mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
        "layers.0.mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
        "layers.0.mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        "layers.0.post_attention_layernorm.weight": (HIDDEN,),
    }
    generator = torch.Generator().manual_seed(0)
    save_file(
        {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = json.loads((BUNDLED_FOLDER / "target" / "config.json").read_text())
    config |= {"num_hidden_layers": 1, "intermediate_size": INTERMEDIATE, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_drafter_that_guesses_changes_nothing(speedbench: Speedbench, vllm_python: str, head: Path) -> None:
    pair = vllm_pair("tiny-eagle", f"eagle:{head}", vllm_python)
    measurement = speedbench.measure("mini", pair=pair, prompts=22, concurrency=8)
    known = {p.id: p.output_sha256 for p in load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").prompts}
    for entry in prompt_entries(measurement.run):
        assert entry.output_sha256 == known[entry.id]
        assert entry.proposed_tokens == 3 * sum(entry.histogram)
        assert entry.undrafted_steps == 0
    assert measurement.al_macro is not None
    assert 1 <= measurement.al_macro < 1.1
