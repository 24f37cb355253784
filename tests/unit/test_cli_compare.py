"""``speedbench compare``: pairs of a scripted engine, baselines, tables, and a real pruned head."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_speedbench.baselines.published import FORMAT
from pytest_speedbench.cli import main
from tests.unit.scripted_project import enter_scripted_project

PROJECT = """
[tool.speedbench]
split = "small.jsonl"
max_tokens = 60

[tool.speedbench.pairs.good]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7 }

[tool.speedbench.pairs.weak]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7, weak = "math", weak_accept = 0.2 }

[tool.speedbench.pairs.alone]
engine = "scripted"
model = "bundled:target"

[tool.speedbench.pairs.dumb]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7, silent = "records" }

[tool.speedbench.pairs.mute]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7, silent = "steps" }

[tool.speedbench.pairs.slow]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7, slow_s = 0.02 }

[tool.speedbench.pairs.served]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
endpoint = "http://localhost:8000"
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with pairs of the scripted engine in the current folder."""
    enter_scripted_project(tmp_path, monkeypatch, PROJECT)
    for name in ("small", "other"):
        rows = [
            {"question_id": f"{category}-{n}", "category": category, "turns": [f"{name} question {n} of {category}?"]}
            for category in ("coding", "math")
            for n in range(12)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def baseline(capsys: pytest.CaptureFixture[str]) -> str:
    """The name of a stored baseline of ``good``."""
    assert main(["calibrate", "2", "--pair", "good"]) == 0
    capsys.readouterr()
    return "good/small"


def titles(err: str) -> list[str]:
    """What was measured, without the lines that say how far it is."""
    return [line for line in err.splitlines() if " prompts, " not in line]


def test_a_worse_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "weak"]) == 1
    out, err = capsys.readouterr()
    assert titles(err) == ["speedbench: good on small", "speedbench: weak on small"]
    assert out.index("good: bundled:target + ngram") < out.index("weak: bundled:target + ngram")
    assert "weak against good on small: acceptance length, family-wise error 1%" in out
    assert "Acceptance length dropped in 1 of 2 categories against good on small." in out
    assert "math: where the loss lies." in out
    assert "Intervals and verdicts hold for all 6 tests together" in out
    assert "--speedbench-update" not in out


def test_an_equal_pair_passes_and_a_better_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "good"]) == 0
    assert "No regression found: 3 of 3 rows shown to have none." in capsys.readouterr().out
    assert main(["compare", "weak", "good"]) == 0


def test_the_gates_options_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "weak", "--tolerance", "2%,math=80%"]) == 0
    assert "80.0%" in capsys.readouterr().out
    few = ("--categories", "math", "--prompts", "3", "--max-tokens", "4")
    assert main(["compare", "weak", "weak", *few, "--engine-args", "jitter=1"]) == 0
    assert "undecided" in capsys.readouterr().out
    assert main(["compare", "weak", "weak", *few, "--engine-args", "jitter=1", "--policy", "prove"]) == 1
    assert "is not shown to be as good as" in capsys.readouterr().out


def test_a_baseline_is_not_measured_again(baseline: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", baseline, "weak"]) == 1
    out, err = capsys.readouterr()
    assert titles(err) == ["speedbench: weak on small"]
    assert "good (baseline of " in out
    assert "Acceptance length dropped in 1 of 2 categories against the baseline of good on small" in out
    assert main(["compare", "baselines/good/small.json", "good"]) == 0


def test_two_baselines_need_no_engine(baseline: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "2", "--pair", "weak"]) == 0
    capsys.readouterr()
    assert main(["compare", baseline, "weak/small"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "Acceptance length dropped in 1 of 2 categories" in out
    assert main(["compare", baseline, "weak/small", "--tolerance", "math=80%"]) == 0


def test_another_split(baseline: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", baseline, "weak", "--split", "other.jsonl"]) == 4
    err = capsys.readouterr().err
    assert "The two sides are not comparable: content of the split: sha256 " in err
    assert "can be compared with --unpaired" in err
    assert main(["compare", baseline, "weak", "--split", "other.jsonl", "--unpaired"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "The two sides have different prompts: a test of means" in out
    assert main(["compare", baseline, "good", "--split", "other.jsonl", "--unpaired"]) == 0
    assert "a test of means" in capsys.readouterr().out


def test_other_settings_are_not_comparable(baseline: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", baseline, "weak", "--max-tokens", "30", "--unpaired"]) == 4
    err = capsys.readouterr().err
    assert "output limit in tokens: 60 in the reference, 30 in the candidate" in err


@pytest.mark.parametrize("content", ['{"benchmarks": []}', "[1, 2]"])
def test_results_of_another_tool_are_refused_without_advice_to_overwrite_them(
    project: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = project / "results.json"
    file.write_text(content)
    assert main(["compare", str(file), "good"]) == 4
    said = capsys.readouterr().err
    assert "results.json is not a pytest-speedbench baseline. It was left as it is." in said
    assert "over it" not in said
    assert file.read_text() == content


def test_a_published_table(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "format": FORMAT,
        "source": "a paper",
        "figure": "al_macro",
        "categories": {"coding": 2.5, "math": 2.5},
        "overall": 2.5,
        "draft_length": 3,
    }
    (project / "published.json").write_text(json.dumps(content))
    assert main(["compare", "published.json", "weak"]) == 1
    out = capsys.readouterr().out
    assert "published: a paper, K = 3" in out
    assert "al_macro: coding 2.5, math 2.5; overall 2.5" in out
    assert "against published figures (a paper)" in out
    assert "Compared with published figures, which have no prompts: their own error is not known" in " ".join(
        out.split()
    )
    assert main(["compare", "published.json", "good", "--draft-length", "4"]) == 4
    assert "are of a draft length of 3, this run of 4" in capsys.readouterr().err
    assert main(["compare", "good", "published.json"]) == 4
    assert "Give them as REFERENCE." in capsys.readouterr().err


def test_lengths_from_the_stream_are_not_compared_with_the_engines_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "dumb"]) == 4
    assert "source of the acceptance records: engine in the reference, stream in the candidate" in (
        capsys.readouterr().err
    )


def test_missing_data_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "mute"]) == 1
    assert "Acceptance length cannot be compared with good on small: data is missing." in capsys.readouterr().out


def test_speed_is_compared_in_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--prompts", "4", "--max-tokens", "12")
    assert main(["compare", "good", "slow", *small, "--speed", "--rounds", "3"]) == 1
    out, err = capsys.readouterr()
    assert len([line for line in err.splitlines() if ", a round at concurrency 1" in line]) == 6
    assert "slow is slower than good in " in out
    assert "Output TPS at concurrency 1: " in out
    assert main(["compare", "slow", "good", *small, "--speed", "--rounds", "3", "--tolerance", "99%"]) == 0
    assert "good against slow: speed" in capsys.readouterr().out
    assert main(["compare", "good", "slow", "--speed", "--rounds", "2"]) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("good", "wek"), "There is no pair named 'wek'. Did you mean 'weak'?"),
        (("good", "alone"), "The pair 'alone' has no drafter, so there is no acceptance to compare."),
        (("good", "nothing/small"), "There is no baseline baselines/nothing/small.json."),
        (("good", "weak", "--unpaired"), "--unpaired needs a baseline as REFERENCE."),
        (("good", "weak", "--tolerance", "maths=5%"), "Did you mean 'math'?"),
        (("served", "served"), "Both pairs would be asked of one server, http://localhost:8000."),
        (("none.json", "good"), "There is no baseline none.json."),
    ],
)
def test_mistakes_are_said_before_anything_is_measured(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *arguments]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_candidate_from_a_baseline_needs_a_stored_reference(
    baseline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "weak", baseline]) == 4
    assert "Give the baseline as REFERENCE, or two baselines." in capsys.readouterr().err
    assert main(["compare", baseline, "weak", "--speed"]) == 4
    assert "--speed needs two pairs that are measured now." in capsys.readouterr().err


def test_a_real_pruned_head_loses_in_other_languages(capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--split", "mini", "--categories", "coding,multilingual", "--prompts", "16", "--max-tokens", "32")
    assert main(["compare", "tiny-eagle3", "tiny-eagle3-pruned", *few]) == 1
    out = capsys.readouterr().out
    assert "Acceptance length dropped in 1 of 2 categories against tiny-eagle3 on mini." in out
    assert "multilingual: where the loss lies." in out
    assert "are outside the draft vocabulary" in " ".join(out.split())
