"""EAGLE-3 heads that differ from the bundled one in a field or in their layout: decoded and replayed alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.replay.checks import check_pair
from pytest_speedbench.engines.replay.judges import load_judge
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput, read_outputs
from tests.unit.engines.running import run
from tests.unit.engines.tiny_models import in_speculators_layout

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")
K = 3
SLIDING = {"layer_types": ["sliding_attention"], "sliding_window": 16}


@pytest.fixture(scope="module")
def rows() -> tuple[StoredOutput, ...]:
    return read_outputs(OUTPUTS).rows[::11]


def rewritten(folder: Path, head: str = "eagle3", layer: dict[str, Any] | None = None, **own: Any) -> str:
    """A bundled head in speculators' layout; ``layer`` changes its layer's fields, ``own`` the head's."""
    folder.mkdir()
    flat = json.loads((BUNDLED_FOLDER / head / "config.json").read_text(encoding="utf-8"))
    config = in_speculators_layout({**flat, **(layer or {})}, **own)
    tensors = load_file(BUNDLED_FOLDER / head / "model.safetensors")
    if own.get("norm_before_fc"):
        tensors["input_norm.weight"] = torch.ones(768)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    renamed = {name.replace("midlayer.", "layers.0."): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def replayed(head: str, rows: tuple[StoredOutput, ...]) -> list[tuple[int, ...]]:
    args: dict[str, EngineArg] = {"outputs": str(OUTPUTS), "dtype": "float32", "batch_tokens": 600}
    pair = Pair("p", "replay", "bundled:target", Drafter.parse(f"eagle3:{head}", K), args)
    check_pair(pair)
    assert pair.drafter is not None
    reaches = load_judge(pair, pair.drafter, ReplayOptions.parse(pair.engine_args), 2048)(rows)
    return [record_of(stored, reach, K, 2048).histogram for stored, reach in zip(rows, reaches, strict=True)]


def decoded(head: str, rows: tuple[StoredOutput, ...]) -> list[tuple[int, ...]]:
    args: dict[str, EngineArg] = {"threads": 1}
    pair = Pair("p", "transformers", "bundled:target", Drafter.parse(f"eagle3:{head}", K), args)
    _, answers = run(pair, [(row.prompt_ids, Sampling(len(row.output_ids))) for row in rows])
    assert [answer.ids for answer in answers] == [row.output_ids for row in rows]
    return [answer.finish.acceptance.histogram for answer in answers if answer.finish.acceptance]


@pytest.mark.parametrize("head", ["eagle3", "eagle3-pruned"])
def test_the_same_weights_in_both_layouts_give_equal_counts(
    rows: tuple[StoredOutput, ...], tmp_path: Path, head: str
) -> None:
    folder = rewritten(tmp_path / "head", head)
    flat = replayed(f"bundled:{head}", rows)
    assert replayed(folder, rows) == flat
    assert decoded(folder, rows[:3]) == flat[:3]


@pytest.mark.parametrize(
    ("layer", "own"),
    [
        pytest.param(SLIDING, {}, id="sliding window"),
        pytest.param({**SLIDING, "sliding_window": 2}, {}, id="window shorter than the draft"),
        pytest.param({}, {"norm_output": True}, id="normed output"),
        pytest.param(SLIDING, {"norm_output": True, "norm_before_fc": True}, id="as speculators trains"),
    ],
)
def test_a_variant_is_replayed_as_it_is_decoded(
    rows: tuple[StoredOutput, ...], tmp_path: Path, layer: dict[str, Any], own: dict[str, Any]
) -> None:
    folder = rewritten(tmp_path / "head", layer=layer, **own)
    found = replayed(folder, rows[:3])
    assert found == decoded(folder, rows[:3])
    assert found != replayed("bundled:eagle3", rows[:3])


@pytest.mark.parametrize(
    ("layer", "own", "words"),
    [
        ({"sliding_window": 16}, {}, "sliding_window is 16, and no layer_types say whether the layer has it"),
        ({"layer_types": ["chunked_attention"]}, {}, "its layer_types are chunked_attention"),
        ({"layer_types": ["sliding_attention"]}, {}, "its sliding_window is None"),
        ({"attention_bias": True}, {}, "attention_bias is set"),
        ({"final_logit_softcapping": 30.0}, {}, r"final_logit_softcapping is 30\.0"),
        ({"logit_scale": 0.25}, {}, r"logit_scale is 0\.25"),
        ({"partial_rotary_factor": 0.5}, {}, r"partial_rotary_factor is 0\.5"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "attention_factor": 3.0}},
            {},
            r"rope_parameters\.attention_factor is 3\.0",
        ),
        ({"rope_parameters": {"rope_type": "longrope"}}, {}, "of type 'longrope'"),
        ({"model_type": "gemma3_text"}, {}, "the model_type in its transformer_layer_config is gemma3_text"),
        ({}, {"quantization_config": {"quant_method": "fp8"}}, "quantization_config is given"),
        ({}, {"fc_norm": True, "norm_before_fc": True}, "fc_norm and norm_before_fc are both set"),
        ({}, {"norm_before_residual": None}, "does not give norm_before_residual, which vLLM then takes for true"),
    ],
)
def test_what_is_not_computed_is_named_before_anything_is_loaded(
    tmp_path: Path, layer: dict[str, Any], own: dict[str, Any], words: str
) -> None:
    folder = rewritten(tmp_path / "head", layer=layer, **own)
    args: dict[str, EngineArg] = {"outputs": str(OUTPUTS), "dtype": "float32"}
    with pytest.raises(EngineError, match=words):
        check_pair(Pair("p", "replay", "bundled:target", Drafter.parse(f"eagle3:{folder}", K), args))
