"""EAGLE-3 heads in speculators' layout on real vLLM: counted as by transformers, and P-EAGLE drafted at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench.config import Sampling
from pytest_speedbench.outputs import read_outputs
from tests.real.vllm.conftest import SLOW, vllm_pair
from tests.unit.engines.running import run
from tests.unit.replay.test_eagle3_variants import OUTPUTS, SLIDING, rewritten

pytestmark = SLOW
ROWS = read_outputs(OUTPUTS).rows[:32:4]


def counted(head: str, python: str | None) -> tuple[Any, list[tuple[int, ...]]]:
    """What was told to the engine, and the histogram of every prompt; the transformers engine's without a python."""
    pair = vllm_pair("variant", f"eagle3:{head}", python or "")
    if python is None:
        pair = replace(pair, engine="transformers", engine_args={"threads": 1}, python=None)
    info, answers = run(pair, [(row.prompt_ids, Sampling(len(row.output_ids))) for row in ROWS])
    assert [answer.ids for answer in answers] == [row.output_ids for row in ROWS]
    found = [answer.finish.acceptance.histogram for answer in answers if answer.finish.acceptance]
    return info.args.get("speculative_config"), found


@pytest.mark.parametrize(
    ("layer", "own"),
    [
        pytest.param(SLIDING, {}, id="sliding window"),
        pytest.param(
            SLIDING,
            {"norm_output": True, "norm_before_fc": True, "norm_before_residual": True},
            id="as speculators trains",
        ),
    ],
)
def test_a_variant_is_counted_alike(
    vllm_python: str, tmp_path: Path, layer: dict[str, Any], own: dict[str, Any]
) -> None:
    head = rewritten(tmp_path / "head", layer=layer, **own)
    told, found = counted(head, vllm_python)
    assert told["method"] == "eagle3"
    assert found == counted(head, None)[1]


def test_a_p_eagle_head_is_drafted_all_at_once(vllm_python: str, tmp_path: Path) -> None:
    head = rewritten(tmp_path / "head", speculators_model_type="peagle", mask_token_id=1)
    weights = Path(head) / "model.safetensors"
    mask = torch.zeros(1, 1, 768, dtype=torch.bfloat16)
    save_file({**load_file(weights), "mask_hidden": mask}, weights, metadata={"format": "pt"})
    told, found = counted(head, vllm_python)
    assert told["parallel_drafting"] is True
    # The first draft of a step is an EAGLE-3 head's; those after it come without the ones before.
    one_by_one = counted("bundled:eagle3", None)[1]
    assert sum(map(sum, found)) > sum(map(sum, one_by_one))
