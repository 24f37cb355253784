"""``speedbench power``."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pytest_speedbench.baselines import Baseline, write_baseline
from pytest_speedbench.baselines.schema import BaselineSummary
from pytest_speedbench.cli import main
from pytest_speedbench.options import OPTIONS
from tests.unit.metrics.runs import conversation, run, turn


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a baseline of the pair ``small`` on the split ``split``: categories of 12 and of 2 prompts."""
    monkeypatch.chdir(tmp_path)
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    write_baseline(Path("baselines"), baseline())
    return tmp_path


def baseline(*, repeats: int = 0) -> Baseline:
    def measured(more: int) -> list[int]:
        return [3, 1, 0, 2, 3, 3, 1, 2] * 5 + [0] * more

    names = [(f"math-{n}", "math") for n in range(12)] + [(f"qa-{n}", "qa") for n in range(2)]
    runs = [run([conversation(*name, turn(measured(2 * n))) for name in names]) for n in range(1 + repeats)]
    return Baseline.from_runs(runs, date="2026-03-01")


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "small/split", "--drop", "10%", "--drop", "0.2", "--drop", "1%"]) == 0
    out = capsys.readouterr().out
    assert "against the baseline of small on split, recorded 2026-03-01: acceptance length, drops found 4 times" in out
    assert "6 tests at a family-wise error of 0.01: each at 0.0017" in out
    head, _, math, qa, *_ = [line for line in out.splitlines()[2:] if line.strip()]
    assert " ".join(head.split()) == "prompts tolerance sees drops from to find 10.0% to find 20.0% to find 1.0%"
    assert math.split()[:3] == ["math", "12", "1.0%"]
    assert math.split()[-1] == "accepted"
    assert qa.split()[:4] == ["qa", "2", "1.0%", "–"]
    words = " ".join(out.split())
    assert "Planned for the worst case: every prompt is decoded anew on both sides" in words
    assert "accepted: the drop is within the tolerance" in words
    assert "fewer than 3 prompts are not judged" in words
    assert "The baseline is not calibrated" in words


def test_json_holds_the_table(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = "baselines/small/split.json"
    assert main(["power", file, "--drop", "10%", "--power", "0.9", "--family-error", "5%", "--json", "p.json"]) == 0
    assert "with a probability of 90%" in capsys.readouterr().out
    plan = json.loads((project / "p.json").read_bytes())
    assert (plan["schema"], plan["power"], plan["family_error"]) == ("speedbench-power/1", 0.9, 0.05)
    assert [row["name"] for row in plan["rows"]] == ["math", "qa"]
    assert plan["overall"]["prompts"] == 14
    assert plan["rows"][0]["needs"][0]["drop"] == 0.1
    assert plan["rows"][0]["needs"][0]["prompts"] > 3


def test_five_per_cent_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "small/split"]) == 0
    assert "to find 5.0%" in capsys.readouterr().out


def test_tolerances_of_pair_split_and_command_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "pyproject.toml").write_text(
        '[tool.speedbench]\npair = "other"\ntolerance = "2%"\n'
        '[tool.speedbench.pairs.other]\nmodel = "x"\ndrafter = "ngram"\ntolerance = "9%"\n'
        '[tool.speedbench.pairs.small]\nmodel = "x"\ndrafter = "ngram"\ntolerance = "qa=3%"\n'
        '[tool.speedbench.splits.split]\ntolerance = "math=4%"\n'
    )
    assert main(["power", "small/split", "--tolerance", "math=5%"]) == 0
    rows = {line.split()[0]: line.split()[2] for line in capsys.readouterr().out.splitlines() if "%" in line}
    assert (rows["math"], rows["qa"]) == ("5.0%", "3.0%")
    (project / "pyproject.toml").write_text(
        '[tool.speedbench]\npair = "other"\ntolerance = "2%"\n'
        '[tool.speedbench.pairs.other]\nmodel = "x"\ndrafter = "ngram"\ntolerance = "9%"\n'
    )
    assert main(["power", "small/split"]) == 0  # a pair that the project does not name
    rows = {line.split()[0]: line.split()[2] for line in capsys.readouterr().out.splitlines() if "%" in line}
    assert (rows["math"], rows["qa"]) == ("2.0%", "2.0%")


def test_run_noise_is_said_to_bound(capsys: pytest.CaptureFixture[str]) -> None:
    write_baseline(Path("kept"), baseline(repeats=4))
    assert main(["power", "small/split", "--baseline-dir", "kept", "--drop", "2%"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "run noise" in words
    assert "Noise of whole runs, as 5 runs show it, is counted; against it no number of prompts helps." in words
    assert "hidden by it from any number of prompts" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "'nothing' names no baseline. Give a file, or PAIR/SPLIT of a baseline in baselines; there are: "
                       "small/split."),
        (("small/other",), "There is no baseline baselines/small/other.json."),
        (("small/split", "--tolerance", "maths=3%"), "there is no such category. Did you mean 'math'?"),
        (("small/split", "--json", "nowhere/p.json"), "The folder of nowhere/p.json does not exist."),
    ],
)  # fmt: skip
def test_mistakes(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", *arguments]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_a_baseline_without_steps(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [conversation("0", "qa", turn([1])), conversation("1", "qa", turn([]))]
    stored = Baseline.from_run(run(rows), date="2026-03-01")
    last = stored.prompts[-1:]
    empty = msgspec.structs.replace(stored, prompts=last, summary=BaselineSummary.of(last, stored.source))
    write_baseline(Path("kept"), empty)
    assert main(["power", "small/split", "--baseline-dir", "kept"]) == 4
    assert "Nothing can be planned from small/split" in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0", "1", "100%", "x", "-5%", ""])
def test_what_is_no_drop(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["power", "small/split", f"--drop={share}"])
    assert caught.value.code == 4
    assert "is no share such as 5% or 0.05" in capsys.readouterr().err
