"""``speedbench replay`` on the bundled family's stored outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_speedbench.baselines import load_baseline
from pytest_speedbench.cli import main

BASELINES = Path(__file__).resolve().parents[2] / "baselines"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def replay(*args: str) -> int:
    return main(["replay", "tiny-eagle3/mini", f"--baseline-dir={BASELINES}", *args])


def test_the_pairs_own_drafter_is_confirmed_by_decoding(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay("--categories=math,qa", "--confirm=4") == 0
    printed, progress = capsys.readouterr()
    assert "replayed on stored outputs, not decoded" in printed
    assert "of 4 prompts 4 have the stored output and 4 the replayed counts" in printed
    assert "tiny-eagle3 on mini, replayed: 32 prompts in" in progress


BFLOAT16 = """
[tool.speedbench.pairs.tiny-eagle3]
engine = "transformers"
model = "bundled:target"
drafter = "eagle3:bundled:eagle3"
draft_length = 3
engine_args = { dtype = "bfloat16", threads = 1 }
"""


def test_what_is_decoded_otherwise_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text(BFLOAT16)
    assert replay("--categories=roleplay", "--confirm=12") == 0
    printed = capsys.readouterr().out
    assert "of 12 prompts 12 have the stored output" not in printed
    assert " × output differs at a near tie, first mini-roleplay-" in printed
    assert "not at a tie" not in printed
    assert "The intervals allow for it." in printed


def test_a_worse_drafter_is_a_finding_and_is_not_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay("--drafter=eagle3:bundled:eagle3-pruned", "--categories=multilingual,math", "--confirm=4") == 1
    printed = capsys.readouterr().out
    assert "multilingual: AL macro" in printed
    assert "decoded by" not in printed


def test_draft_lengths_come_of_one_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay("--categories=math,qa", "--lengths=1,3,8") == 0
    printed, progress = capsys.readouterr()
    assert progress.count("prompts in") == 1
    table = {line.split()[0]: line.split()[1:] for line in printed.split("\n\n")[0].splitlines() if line.strip()}
    assert table["AL"][1:] == ["K", "=", "1", "K", "=", "3", "K", "=", "8"]
    stored = load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").summary
    assert float(table["math"][1]) == round(stored.categories["math"].al_macro or 0, 3)
    assert float(table["math"][0]) < float(table["math"][1]) < float(table["math"][2])


def test_a_vocabulary_sweep_replays_every_head(tmp_path: Path) -> None:
    (tmp_path / "counts.txt").write_text("One and two make three. Add them up and divide by seven.\n" * 20)
    words = ["vocabulary", "--mode=replay", "--pair=tiny-eagle3", "--sizes=20", "--counts=counts.txt"]
    assert main([*words, f"--baseline-dir={BASELINES}", "--categories=math,qa", "--json=found.json"]) == 0
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert found["engine"].startswith("replay ")
    assert found["acceptance"]["20"]["al_macro"] < found["acceptance"][str(found["full_size"])]["al_macro"]


def test_commands_that_decode_do_not_replay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPEEDBENCH_MODE", "replay")
    assert main(["compare", "tiny-eagle3", "tiny-eagle3-pruned"]) == 4
    assert "The mode is replay, and this command decodes." in capsys.readouterr().err
    assert replay("--categories=math") == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["replay", "tiny-eagle3"], "names no baseline"),
        (["replay", "mini.json"], "is a file"),
        (["replay", "tiny-draft/mini"], "There are no stored outputs"),
        (["replay", "tiny-eagle3/mini", "--lengths=17"], "judge drafts of at most 16 tokens"),
        (["replay", "tiny-eagle3/mini", "--confirm=0"], "--confirm is 0"),
        (
            ["replay", "tiny-eagle3/mini", "--outputs=/none"],
            "There are no stored outputs /none. Record it with: pytest … --speedbench-record-outputs",
        ),
        (["replay", "tiny-eagle3/mini", "--drafter=suffix"], "The drafter 'suffix' cannot be replayed"),
        (["replay", "tiny-eagle3/mini", "--drafter=eagle:bundled:eagle3"], "is an EAGLE-3 head"),
        (["replay", "tiny-eagle3/mini", "--drafter=medusa:bundled:draft"], "is no Medusa drafter"),
        (["replay", "tiny-eagle3/mini", "--drafter=mtp"], "has no multi-token-prediction layers"),
        (["replay", "tiny-eagle3/mini", "--max-tokens=32"], "an output limit of 64 tokens, and 32 are asked"),
        (["replay", "nobody/mini"], "Record one with: speedbench calibrate 5 --pair nobody --split mini"),
    ],
)
def test_what_cannot_be_done_is_said(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*args, f"--baseline-dir={BASELINES}"]) == 4
    assert words in capsys.readouterr().err
