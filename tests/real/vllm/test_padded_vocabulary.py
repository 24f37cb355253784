"""A draft model whose embedding has less padding than its target's, on vLLM as on transformers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench import Pair
from pytest_speedbench.config import Load, Sampling
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split, select
from tests.real.vllm.conftest import SLOW, vllm_pair

PADDING = 128


def padded_target(folder: Path) -> Path:
    shutil.copytree(BUNDLED_FOLDER / "target", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors["model.embed_tokens.weight"]
    tensors["model.embed_tokens.weight"] = torch.cat((embedding, embedding.new_zeros(PADDING, embedding.shape[1])))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config["vocab_size"] += PADDING
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def counts(pair: Pair) -> list[tuple[object, ...]]:
    with Runner() as runner:
        run = runner.measure(pair, select(load_split("mini"), prompts=11), Sampling(24), Load(1))
    turns = (turn for conversation in run.conversations for turn in conversation.turns)
    return sorted((turn.output_ids, turn.acceptance.histogram if turn.acceptance else None) for turn in turns)


@SLOW
def test_vllm_told_to_draft_what_both_have_counts_as_the_pair_without_padding(vllm_python: str, tmp_path: Path) -> None:
    there = vllm_pair(
        "padded", "draft_model:bundled:draft", vllm_python, speculative_config={"use_heterogeneous_vocab": True}
    )
    padded = replace(there, model=str(padded_target(tmp_path / "target")))
    here = Pair("plain", "transformers", "bundled:target", there.drafter, {"threads": 1})
    assert counts(padded) == counts(here)
