"""A trained EAGLE head replayed and on real vLLM: the same counts for every prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.config import Drafter, Load, Sampling
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split, select
from tests.real.vllm.conftest import SLOW, vllm_pair

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")
HEAD = Path(__file__).resolve().parents[2] / "data" / "eagle"
PROMPTS = 22


@pytest.mark.parametrize(("draft_length", "concurrency"), [(3, 8), pytest.param(5, 8, marks=SLOW)])
def test_every_prompt_is_counted_as_vllm_counts_it(vllm_python: str, draft_length: int, concurrency: int) -> None:
    decoding = vllm_pair("tiny-eagle", f"eagle:{HEAD}", vllm_python)
    decoding = replace(decoding, drafter=Drafter.parse(f"eagle:{HEAD}", draft_length))
    prompts = select(load_split("mini"), prompts=PROMPTS)
    with Runner() as runner:
        decoded = prompt_entries(runner.measure(decoding, prompts, Sampling(64), Load(concurrency)))
        again = prompt_entries(runner.measure(replayed(decoding, OUTPUTS), prompts, Sampling(64), Load(4)))
    assert len(again) == PROMPTS
    assert again == decoded
    accepted = [sum(entry.histogram[length] for entry in decoded) for length in range(draft_length + 1)]
    assert min(accepted) > 10
