"""Published tables: their files, and gates against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.baselines.published import EXAMPLE, FORMAT, PublishedFigures, is_published, read_published
from pytest_speedbench.errors import BaselineError

TABLE: dict[str, Any] = {
    "format": FORMAT,
    "source": "a paper",
    "figure": "al_macro",
    "categories": {"coding": 3.0001, "math": 2.471},
    "overall": 2.7355,
    "draft_length": 3,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(TABLE))
    return path


def test_a_table(file: Path) -> None:
    expected = PublishedFigures(FORMAT, "a paper", "al_macro", {"coding": 3.0001, "math": 2.471}, 3, 2.7355)
    assert read_published(file) == expected
    assert is_published(file)


def test_the_example_in_messages_is_one(file: Path) -> None:
    file.write_text(EXAMPLE)
    assert read_published(file).overall is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"figure": "al_pooled"}, "al_pooled"),
        ({"categories": {}}, "length >= 1"),
        ({"categories": {"coding": 0.9}}, "`float` >= 1.0"),
        ({"categories": {"coding": 4.2}}, "coding has 4.2 tokens per step, at a draft length of 3"),
        ({"overall": 3.1}, "the overall mean 3.1 lies outside of the categories' figures"),
        ({"draft_length": 0}, "`int` >= 1"),
        ({"source": ""}, "length >= 1"),
        ({"prompts": 80}, "unknown field `prompts`"),
        ({"draft_length": None}, "Expected `int`"),
        ({"format": "else"}, "its format is not"),
    ],
)
def test_what_cannot_be_used(change: dict[str, Any], words: str, file: Path) -> None:
    file.write_text(json.dumps({**TABLE, **change}))
    with pytest.raises(BaselineError) as caught:
        read_published(file)
    assert words in caught.value.problem
    assert str(file) in caught.value.problem
    assert EXAMPLE in caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3", "\x00", "[" * 100_000])
def test_what_is_no_table(text: str, file: Path) -> None:
    file.write_text(text)
    assert not is_published(file)
    with pytest.raises(BaselineError):
        read_published(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert not is_published(tmp_path / "none.json")
    assert not is_published(tmp_path)
    with pytest.raises(BaselineError, match="There is no file"):
        read_published(tmp_path / "none.json")
    with pytest.raises(BaselineError, match="cannot be read"):
        read_published(tmp_path)
