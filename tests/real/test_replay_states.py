"""Heads judged on recorded hidden states, against the same heads over the live target, on all prompts of ``mini``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_speedbench.baselines import load_baseline, outputs_path
from pytest_speedbench.baselines.prompts import PromptEntry, prompt_entries
from pytest_speedbench.cli import main
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split
from tests.real.vllm.medusa import medusa_checkpoint

BASELINES = Path(__file__).resolve().parents[2] / "baselines"
EAGLE = Path(__file__).resolve().parents[1] / "data" / "eagle"
OUTPUTS = outputs_path(BASELINES, "tiny-eagle3", "mini")


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stored outputs, where states can be recorded."""
    monkeypatch.chdir(tmp_path)
    copy = outputs_path(tmp_path / "baselines", "tiny-eagle3", "mini")
    copy.parent.mkdir(parents=True)
    shutil.copy(OUTPUTS, copy)
    return copy


def replay(pair: Pair, outputs: Path) -> Run:
    with Runner() as runner:
        return runner.measure(replayed(pair, outputs), load_split("mini"), Sampling(64), Load(16))


def differing(ours: tuple[PromptEntry, ...], theirs: tuple[PromptEntry, ...]) -> int:
    return sum(a != b for a, b in zip(ours, theirs, strict=True))


def test_states_in_float32_give_the_live_targets_counts(outputs: Path, tmp_path: Path) -> None:
    assert main(["states", "tiny-eagle3/mini", "--layers=1,2,3", "--final", "--dtype=float32"]) == 0
    for name in ("tiny-eagle3", "tiny-eagle3-pruned"):
        run = replay(bundled_pairs()[name], outputs)
        assert run.engine.args["target"] == "recorded states in float32"
        # Decoded, and equal to a replay with the live target (test_replay.py).
        assert prompt_entries(run) == load_baseline(BASELINES, name, "mini", record_command="").prompts
    for reference in (f"medusa:{medusa_checkpoint(tmp_path / 'medusa')}", f"eagle:{EAGLE}"):
        pair = Pair("tiny-eagle3", "transformers", "bundled:target", Drafter.parse(reference, 3))
        stored, live = replay(pair, outputs), replay(pair, OUTPUTS)
        assert (stored.engine.args["target"], live.engine.args["target"]) == ("recorded states in float32", "live")
        assert prompt_entries(stored) == prompt_entries(live)


def test_states_in_bfloat16_change_few_counts(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["states", "tiny-eagle3/mini"]) == 0
    printed = capsys.readouterr().out
    assert "34.1 MB in bfloat16, 1,536 bytes for each of 22,200 tokens" in printed
    for name in ("tiny-eagle3", "tiny-eagle3-pruned"):
        run = replay(bundled_pairs()[name], outputs)
        assert run.engine.args["target"] == "recorded states in bfloat16"
        # 5 of 176 were seen: rounding turns over drafts that the head holds nearly equally likely.
        decoded = load_baseline(BASELINES, name, "mini", record_command="").prompts
        assert 0 < differing(prompt_entries(run), decoded) <= 10
