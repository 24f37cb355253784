"""Names and numbers that no system takes are told in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import ConfigError, EngineError, SplitError
from pytest_speedbench.paths import at_home, lies_at
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.lengths import parse_tokens
from pytest_speedbench.splits.source import SplitSource

LONG = "x" * 5000


def test_what_lies_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to("circle")
    found = [
        lies_at(tmp_path / name, "It", SplitError)
        for name in (".", "circle", "file", "link", "nothing", "file/below", "a\0b")
    ]
    assert found == ["folder", "file", "file", "file", "nothing", "nothing", "nothing"]


@pytest.mark.parametrize("name", [LONG, f"{LONG}.jsonl", f"mini@{LONG}", "a/" * 5000])
def test_a_split_of_an_impossible_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        SplitError, match=r"^The split cannot be looked for at '.{120,}…': File name too long\. "
    ) as caught:
        load_split(name, root=tmp_path)
    assert len(str(caught.value)) < 400


def test_a_model_of_an_impossible_name() -> None:
    with pytest.raises(EngineError, match=r"A model cannot be looked for at .*: File name too long"):
        open_checkpoint(LONG, download=False)
    with pytest.raises(EngineError, match="There is no model folder"):
        open_checkpoint("~nobody-of-this-name/model", download=False)
    assert at_home("~nobody-of-this-name/model") == Path("~nobody-of-this-name/model")
    assert at_home("~/model") == Path.home() / "model"


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 5000 + "k", "99999999999999999999", "10000001", "10001k"])
def test_a_length_that_no_prompt_has(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_tokens(text)
    assert parse_tokens("10000k") == 10_000_000


@pytest.mark.parametrize("source", ["random:10x99999999", f"random:10x{'9' * 5000}", f"random:{'9' * 5000}"])
def test_more_random_tokens_than_memory_holds(source: str) -> None:
    with pytest.raises(ConfigError):
        _ = SplitSource(source).random
