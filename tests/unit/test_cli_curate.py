"""``speedbench curate``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_speedbench.cli import main
from pytest_speedbench.splits import load_split


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 24 candidates in two categories, and vectors of them."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"question_id": f"q{n:02d}", "category": "qa" if n % 2 else "math", "turns": [f"Question {n} of {n % 5}?"]}
        for n in range(24)
    ]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save("vectors.npy", np.random.default_rng(1).standard_normal((24, 6)))
    return tmp_path


def test_a_table_a_split_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["curate", "mine.jsonl", "--per-category", "4", "--embeddings", "vectors.npy"]
    assert main([*command, "--out", "chosen.jsonl", "--json", "c.json"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "mine: 8 of 24 candidates selected, 4 a category\n  compared by: vectors.npy (6 dimensions)\n"
    )
    head, _, math, qa, overall, *_ = [line.split() for line in out.splitlines()[4:] if line.strip()]
    assert head == ["candidates", "selected", "all", "random", "lowest", "selection"]
    assert (math[:3], qa[:3], overall[:3]) == (["math", "12", "4"], ["qa", "12", "4"], ["overall", "24", "8"])
    assert "need not lie inside a larger one" in out

    chosen = load_split("chosen.jsonl")
    assert chosen.counts() == {"math": 4, "qa": 4}
    candidates = load_split("mine.jsonl").prompts
    assert [prompt for prompt in candidates if prompt in chosen.prompts] == list(chosen.prompts)

    figures = json.loads(Path("c.json").read_bytes())
    assert (figures["schema"], figures["embeddings"], figures["seed"]) == ("speedbench-curation/1", "vectors.npy", 0)
    assert [category["name"] for category in figures["categories"]] == ["math", "qa"]
    ids = [question_id for category in figures["categories"] for question_id in category["selected"]]
    assert sorted(ids) == sorted(prompt.question_id for prompt in chosen.prompts)
    assert f"{figures['similarity']['selected']:.3f}" == overall[-1]


def test_the_same_again_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["curate", "mine.jsonl", "--per-category", "5", "--out", "a.jsonl", "--json", "a.json"]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "compared by: TF-IDF of words" in first
    files = Path("a.jsonl").read_bytes(), Path("a.json").read_bytes()
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert (Path("a.jsonl").read_bytes(), Path("a.json").read_bytes()) == files
    assert main([*command, "--seed", "7"]) == 0
    assert Path("a.jsonl").read_bytes() == files[0]
    assert Path("a.json").read_bytes() != files[1]


def test_columns_are_mapped(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.csv").write_text("id,topic,prompt\n" + "".join(f"r{n},qa,Say {n} and {n + 1}\n" for n in range(10, 16)))
    columns = "question_id=id,category=topic,turns=prompt"
    assert main(["curate", "other.csv", "--per-category", "3", "--columns", columns, "--out", "o.jsonl"]) == 0
    assert load_split("o.jsonl").counts() == {"qa": 3}
    assert main(["curate", "other.csv", "--per-category", "3", "--columns", "category=topics"]) == 4
    assert main(["curate", "other.csv", "--per-category", "3", "--columns", "turns"]) == 4
    assert "'topics'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the following arguments are required: --per-category"),
        (["--per-category", "1"], "1 is too few: prompts are compared in pairs"),
        (["--per-category", "many"], "'many' is no number of prompts"),
        (["--per-category", "2", "--embeddings", "vectors.npy", "--model", "m"], "not allowed with argument"),
        (["--per-category", "2", "--seed", "x"], "invalid int value"),
    ],
)
def test_command_lines_that_cannot_be_parsed(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["curate", "mine.jsonl", *options])
    assert raised.value.code == 4
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["nothing.jsonl", "--per-category", "2"], "'nothing.jsonl'"),
        (["mine.jsonl", "--per-category", "13"], "fewer candidates: math 12, qa 12. Select at most 12"),
        (["mine.jsonl", "--per-category", "2", "--embeddings", "none.npy"], "There is no file none.npy"),
        (["mini", "--per-category", "2", "--embeddings", "vectors.npy"], "24 vectors for 176 candidates"),
        (["mine.jsonl", "--per-category", "2", "--out", "mine.jsonl"], "mine.jsonl holds the candidates themselves"),
        (["mine.jsonl", "--per-category", "2", "--out", "chosen.csv"], "written as JSONL"),
        (["mine.jsonl", "--per-category", "2", "--out", "no/chosen.jsonl"], "folder of no/chosen.jsonl does not exist"),
        (["mine.jsonl", "--per-category", "2", "--json", "no/c.json"], "The folder of no/c.json does not exist"),
    ],
)
def test_what_the_user_can_mend(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("mine.jsonl").read_bytes()
    assert main(["curate", *command]) == 4
    error = capsys.readouterr().err
    assert error.startswith("speedbench: ")
    assert message in error
    assert "Traceback" not in error
    assert Path("mine.jsonl").read_bytes() == before
