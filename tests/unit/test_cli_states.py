"""``speedbench states``: what it says, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from pytest_speedbench.cli import main
from pytest_speedbench.cli.states import DTYPES
from pytest_speedbench.options import OPTIONS
from pytest_speedbench.outputs import Outputs, read_outputs, write_outputs
from pytest_speedbench.states import DEFAULT_DTYPE, STATES_DTYPES

OUTPUTS = Path(__file__).resolve().parents[2] / "baselines" / "tiny-eagle3" / "mini.outputs"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the pair ``tiny-eagle3``, with stored outputs, in a project."""
    monkeypatch.chdir(tmp_path)
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    pair = tmp_path / "baselines" / "tiny-eagle3"
    pair.mkdir(parents=True)
    shutil.copy(OUTPUTS, pair)
    return pair


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["tiny-eagle3"], "names no stored outputs"),
        (["mini.json"], "names no stored outputs"),
        (["tiny-draft/mini"], "There are no stored outputs"),
        (["tiny-eagle3/mini", "--layers=2,7"], "has 4 layers, and states after layer 7 are asked"),
    ],
)
def test_what_cannot_be_done_is_said(
    args: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["states", *args]) == 4
    assert words in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["mini.outputs"]


def test_outputs_of_another_target_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = read_outputs(OUTPUTS)
    head = msgspec.structs.replace(outputs.head, target_sha256="0")
    write_outputs(folder / "mini.outputs", Outputs(head, outputs.rows))
    assert main(["states", "tiny-eagle3/mini"]) == 4
    assert "are of another target than the pair's" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["mini.outputs"]


def test_every_dtype_of_states_can_be_asked() -> None:
    assert DTYPES == STATES_DTYPES
    assert DTYPES[0] == DEFAULT_DTYPE


@pytest.mark.parametrize("layers", ["2,x", "-1", ""])
def test_layers_that_are_none_are_refused(layers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["states", "tiny-eagle3/mini", f"--layers={layers}"])
    assert "--layers" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_speedbench.states.StatesWriter.add", interrupted)
    assert main(["states", "tiny-eagle3/mini"]) == 130
    assert [path.name for path in folder.iterdir()] == ["mini.outputs"]


def test_a_replay_says_that_it_was_judged_on_states(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(OUTPUTS.with_suffix(".json"), folder)
    assert main(["states", "tiny-eagle3/mini"]) == 0
    assert main(["replay", "tiny-eagle3/mini", "--categories=math"]) == 0
    assert "and the head read recorded states in bfloat16" in " ".join(capsys.readouterr().out.split())


def test_a_head_that_reads_other_layers_is_refused_with_what_mends_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(OUTPUTS.with_suffix(".json"), folder)
    assert main(["states", "tiny-eagle3/mini", "--layers=1,2"]) == 0
    printed = capsys.readouterr().out
    assert f"{Path('baselines/tiny-eagle3/mini.states')}: 22.7 MB in bfloat16, 1,024 bytes for each" in printed
    assert main(["replay", "tiny-eagle3/mini"]) == 4
    assert capsys.readouterr().err.splitlines()[-1] == (
        "speedbench: The recorded states baselines/tiny-eagle3/mini.states lack the stream after layer 3, which the "
        "drafter reads. Record them with: speedbench states tiny-eagle3/mini --layers 1,2,3"
    )
