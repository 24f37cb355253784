"""``speedbench show``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench.cli import main
from pytest_speedbench.options import OPTIONS

BASELINES = Path(__file__).resolve().parents[2] / "baselines"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a project."""
    monkeypatch.chdir(tmp_path)
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)


def show(*arguments: str) -> int:
    return main(["show", *arguments, "--baseline-dir", str(BASELINES)])


def test_a_prompt_with_its_counts_and_what_was_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("tiny-eagle3/mini", "mini-multilingual-06") == 0
    out = capsys.readouterr().out
    assert out.startswith("mini-multilingual-06 (multilingual, 3 turns)\n  acceptance length 3.217: 51 draft tokens")
    said = [line.strip() for line in out.splitlines() if line.endswith(("user:", "target:"))]
    assert said == 3 * ["user:", "target:"]
    assert "Что делает Ольга?" in out
    assert "Ольга сейчас в саду." in out


def test_without_stored_outputs_the_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("tiny-ngram/mini", "mini-qa-01", "mini-qa-02") == 0
    out = capsys.readouterr().out
    assert out.count("user:") == 2
    assert "target:" not in out


def test_another_split_than_was_asked_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    row = '{"question_id": "mini-qa-01", "category": "qa", "turns": ["Another text?\\u001b[2J"]}\n'
    (tmp_path / "own.jsonl").write_text(row, encoding="utf-8")
    assert show("tiny-ngram/mini", "mini-qa-01", "mini-qa-02", "--split", "own.jsonl") == 0
    out = capsys.readouterr().out
    assert "its texts may be other ones" in out
    assert "Another text?\\x1b[2J" in out
    assert "no longer has this prompt" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tiny-eagle3/mini", "mini-qa-1"), "has no prompt 'mini-qa-1'. Did you mean 'mini-qa-"),
        (("none/mini", "mini-qa-01"), "There is no baseline"),
        (("tiny-eagle3/mini", "mini-qa-01", "--split", "none.jsonl"), "none.jsonl"),
    ],
)
def test_what_cannot_be_shown(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(*arguments) == 4
    assert words in capsys.readouterr().err
