"""``speedbench calibrate``: its parts, a noisy scripted engine, and a real run of the bundled family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_speedbench.baselines import Baseline, load_baseline
from pytest_speedbench.cli import main
from pytest_speedbench.cli.calibrate import calibrated
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.measure.run import Run
from tests.scripted_engine import ScriptedEngine
from tests.unit.metrics.runs import conversation, run, turn
from tests.unit.scripted_project import enter_scripted_project

PROJECT = """
[tool.speedbench]
pair = "noisy"
split = "small.jsonl"
max_tokens = 40

[tool.speedbench.pairs.noisy]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7, jitter = 0.3 }
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a noisy pair of the scripted engine in the current folder."""
    enter_scripted_project(tmp_path, monkeypatch, PROJECT)
    rows = [
        {"question_id": f"{category}-{n}", "category": category, "turns": [f"Question {n} of {category}?"]}
        for category in ("coding", "math")
        for n in range(10)
    ]
    (tmp_path / "small.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def stored(folder: str = "baselines", pair: str = "noisy", split: str = "small") -> Baseline:
    return load_baseline(Path(folder), pair, split, record_command="")


def test_runs_are_measured_in_order_and_all_kept() -> None:
    asked: list[int] = []

    def measure(number: int) -> Run:
        asked.append(number)
        return run([conversation("1", "qa", turn([number, 0]))])

    baseline = calibrated(measure, 3, "2026-03-01")
    assert asked == [1, 2, 3]
    assert [record.al for record in baseline.records(baseline.prompts[0])] == [1.5, 2.0, 2.5]


def test_a_first_run_that_can_be_no_baseline_ends_it() -> None:
    asked: list[int] = []

    def measure(number: int) -> Run:
        asked.append(number)
        return run([conversation("1", "qa", turn([1], record=False))])

    with pytest.raises(BaselineError, match="no acceptance record"):
        calibrated(measure, 5, "2026-03-01")
    assert asked == [1]


def test_a_noisy_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "5"]) == 0
    out, err = capsys.readouterr()
    assert "noisy on small: 5 runs of 20 prompts, scripted 1.0 on imagination, concurrency 1" in out
    assert "Against the first run, a further one changes the counts of " in out
    assert "Two runs of this unchanged pair differ by up to " in out
    assert "note:" not in out
    assert "baseline written: baselines/noisy/small.json" in out
    assert "replaces" not in out
    assert [line for line in err.splitlines() if line.endswith(" of 5")] == [
        f"speedbench: noisy on small, run {number} of 5" for number in range(1, 6)
    ]
    calibration = stored().calibration
    assert calibration is not None
    assert (calibration.runs, calibration.changed_outputs) == (5, 0)
    assert 0.25 < calibration.changed_counts < 0.75  # 1 − 0.7² = 0.51, give or take


def test_a_baseline_is_replaced_and_its_level_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main(["calibrate", "2", "--engine-args", "jitter=0", "--baseline-dir", "kept"])
    before = stored("kept").summary.overall.al_macro
    assert main(["calibrate", "2", "--engine-args", "jitter=0,accept=0.5", "--baseline-dir", "kept"]) == 0
    after = stored("kept").summary.overall.al_macro
    assert before is not None
    assert after is not None
    assert after < before - 0.2
    out = capsys.readouterr().out
    assert f"AL macro {before:.3f} over 20 prompts then, {after:.3f} over 20 now" in out
    assert not Path("baselines").exists()


def test_a_larger_baseline_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    main(["calibrate", "2"])
    before = Path("baselines/noisy/small.json").read_bytes()
    capsys.readouterr()
    assert main(["calibrate", "2", "--categories", "math", "--engine-args", "fail_at=1"]) == 4
    err = capsys.readouterr().err
    assert "has 10 prompts that this run did not ask" in err
    assert "broke down" not in err  # nothing was measured
    assert Path("baselines/noisy/small.json").read_bytes() == before


def test_a_damaged_baseline_is_replaced_only_by_the_whole_split(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("baselines/noisy/small.json")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert main(["calibrate", "2", "--prompts", "4"]) == 4
    assert "is not valid JSON" in capsys.readouterr().err
    assert path.read_text() == "{"
    assert main(["calibrate", "2"]) == 0
    assert stored().calibration is not None


@pytest.mark.parametrize("runs", ["1", "0", "-3", "two", ""])
def test_too_few_runs(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["calibrate", runs])
    assert caught.value.code == 4
    assert "calibrate: error: " in capsys.readouterr().err


def test_a_target_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "2", "--pair", "tiny-target"]) == 4
    assert "The pair 'tiny-target' has no drafter, so there is no acceptance to calibrate." in capsys.readouterr().err


def test_a_real_deterministic_pair(capsys: pytest.CaptureFixture[str]) -> None:
    args = ("--pair", "tiny-ngram", "--split", "mini", "--prompts", "11", "--max-tokens", "16")
    assert main(["calibrate", "2", *args]) == 0
    out = capsys.readouterr().out
    assert "Identical in all 2 runs: this engine is deterministic here." in out
    assert "the spread of 2 runs is itself known badly" in out
    baseline = stored(pair="tiny-ngram", split="mini")
    assert baseline.calibration is not None
    assert (baseline.calibration.changed_outputs, baseline.calibration.repeats) == (0, ({},))
    assert len(baseline.prompts) == 11


@pytest.mark.parametrize(("options", "starts"), [([], 1), (["--restart"], 3)])
def test_each_run_may_have_a_start_of_its_own(
    options: list[str], starts: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    start = ScriptedEngine.start

    async def counted(self: ScriptedEngine) -> EngineInfo:
        seen.append("start")
        return await start(self)

    monkeypatch.setattr(ScriptedEngine, "start", counted)
    assert main(["calibrate", "3", *options]) == 0
    assert len(seen) == starts
    assert "baseline written" in capsys.readouterr().out
