"""``speedbench replay`` of a baseline that was sampled."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench.baselines import Baseline, outputs_path, write_baseline
from pytest_speedbench.cli import main
from pytest_speedbench.config import Load, Sampling
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import Outputs, write_outputs
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split, select

CATEGORIES = ("math", "qa")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baseline and outputs of a sampled run."""
    kept: list[Outputs] = []
    prompts = select(load_split("mini"), prompts=8, categories=CATEGORIES)
    sampling = Sampling(16, temperature=0.8, top_p=0.9, seed=4)
    with Runner() as runner:
        run = runner.measure(bundled_pairs()["tiny-draft"], prompts, sampling, Load(), keep_outputs=kept.append)
    folder = tmp_path_factory.mktemp("project") / "baselines"
    write_baseline(folder, Baseline.from_run(run, date="2026-11-23"))
    write_outputs(outputs_path(folder, "tiny-draft", "mini"), kept[0])
    return folder


def replay(folder: Path, *args: str) -> int:
    asked = (f"--categories={','.join(CATEGORIES)}", "--prompts=8", "--max-tokens=16")
    return main(["replay", "tiny-draft/mini", f"--baseline-dir={folder}", *asked, *args])


def test_drawn_drafts_are_shown_beside_what_is_expected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(folder, "--engine-args=draft_sampling=probabilistic", "--lengths=1,3") in (0, 1)
    printed = capsys.readouterr().out
    assert printed.startswith("tiny-draft, replayed, by draft length:")
    _, drawn = printed.split("tiny-draft, drafts drawn at temperature 0.8: one draw, and what is expected given the")
    lines = [line.split() for line in drawn.split("tiny-draft (baseline")[0].splitlines()[1:]]
    table = {cells[0]: cells[1:] for cells in lines if cells}
    assert set(CATEGORIES) | {"overall"} <= set(table)
    for row in ("math", "qa", "overall"):
        al, mean, deviation = map(float, table[row])
        assert 1 <= mean <= 4
        assert abs(al - mean) < 4 * deviation
    assert "sampled; the drafts are drawn, and every record is one draw" in printed


def test_a_sampled_run_is_confirmed_by_sampling_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(folder, "--confirm=2") == 0
    printed = capsys.readouterr().out
    assert "decoded by transformers" in printed
    assert "2 prompts, sampled anew" in printed
    assert "what is expected" not in printed
    assert "temperature 0.8" in printed
