"""Replay against what engines decoded: every count of every prompt, for every drafter of the bundled family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.baselines import load_baseline, outputs_path
from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split, select

BASELINES = Path(__file__).resolve().parents[2] / "baselines"
OUTPUTS = outputs_path(BASELINES, "tiny-eagle3", "mini")
DRAFTERS = ("tiny-ngram", "tiny-draft", "tiny-eagle3", "tiny-eagle3-pruned")


def pair(name: str, draft_length: int = 3) -> Pair:
    found = bundled_pairs()[name]
    assert found.drafter is not None
    return replace(found, drafter=Drafter(found.drafter.method, found.drafter.model, draft_length))


@pytest.mark.parametrize("name", DRAFTERS)
def test_replay_counts_what_the_stored_baseline_counted(name: str) -> None:
    with Runner() as runner:
        run = runner.measure(replayed(pair(name), OUTPUTS), load_split("mini"), Sampling(64), Load(4))
    stored = load_baseline(BASELINES, name, "mini", record_command="").prompts
    assert prompt_entries(run) == stored


@pytest.mark.parametrize("draft_length", [1, 8])
@pytest.mark.parametrize("name", DRAFTERS)
def test_replay_is_decoding_at_other_draft_lengths(name: str, draft_length: int) -> None:
    prompts = select(load_split("mini"), prompts=11)
    chosen = pair(name, draft_length)
    with Runner() as runner:
        decoded = runner.measure(chosen, prompts, Sampling(64), Load())
        again = runner.measure(replayed(chosen, OUTPUTS), prompts, Sampling(64), Load())
    assert prompt_entries(again) == prompt_entries(decoded)
