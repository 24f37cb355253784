"""Which split a name means, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.errors import ConfigError, SplitError
from pytest_speedbench.splits import Prompt, SplitSource, load_split
from pytest_speedbench.splits.source import InputLength
from pytest_speedbench.splits.speed_bench import PLACEHOLDER, ROWS
from pytest_speedbench.splits.tokenizers import folder_tokenizer

TARGET = BUNDLED_FOLDER / "target"


def row(question_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"question_id": question_id, "category": "math", "turns": ["1 + 1?"], **changes}


def write(folder: Path, *rows: Any, name: str = "own.jsonl") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in rows), encoding="utf-8")
    return str(path)


def prepared(folder: Path, config: str) -> None:
    rows = [row(f"{category}-{n}", category=category) for category, count in ROWS[config].items() for n in range(count)]
    write(folder, *rows, name=f"{config}.jsonl")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    split = load_split(write(tmp_path, row("a"), "", row("b", category="qa", turns=["x", "y"], sub_category="s")))
    assert split.name == "own"
    assert [prompt.question_id for prompt in split.prompts] == ["a", "b"]
    assert split.prompts[1] == Prompt("b", "qa", "s", ("x", "y"))
    assert split.prompts[1].multiturn
    assert split.counts() == {"math": 1, "qa": 1}
    assert split.total == len(split) == 2


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    first = load_split(write(tmp_path, row("a"), row("b"))).sha256
    assert load_split(write(tmp_path, row("a", source="other"), row("b"))).sha256 == first
    assert load_split(write(tmp_path, row("a"), row("b", turns=["1 + 2?"]))).sha256 != first
    assert load_split(write(tmp_path, row("a"), row("b", system="Be brief."))).sha256 != first
    assert load_split(write(tmp_path, row("b"), row("a"))).sha256 != first


def test_what_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"Did you mean 'mini'\?"):
        load_split("minni")
    with pytest.raises(SplitError, match=r"Did you mean 'qualitative'\?"):
        load_split("qualitatve")
    with pytest.raises(SplitError, match="is a folder without a split"):
        load_split(str(tmp_path))


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    write(tmp_path, row("a"), name="chats/one.jsonl")
    write(tmp_path, row("b"), name="chats/two.jsonl")
    split = load_split("chats", root=tmp_path)
    assert (split.name, [prompt.question_id for prompt in split.prompts]) == ("chats", ["a", "b"])


def test_a_file_called_test_has_the_name_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path, row("a"), name="speed/qualitative/test.jsonl")
    write(tmp_path, row("a"), name="speed/tests.jsonl")
    assert load_split("speed/qualitative/test.jsonl", root=tmp_path).name == "qualitative"
    assert load_split("speed/qualitative", root=tmp_path).name == "qualitative"
    assert load_split("speed/tests.jsonl", root=tmp_path).name == "tests"
    write(tmp_path, row("a"), name="v1.1/own.jsonl")
    assert load_split("v1.1", root=tmp_path).name == "v1.1"
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "speed" / "tests.jsonl")
    assert load_split("link.jsonl", root=tmp_path).name == "link"


def test_a_prepared_config(tmp_path: Path) -> None:
    prepared(tmp_path, "qualitative")
    split = load_split("qualitative", root=tmp_path)
    assert (split.name, len(split), split.origin) == ("qualitative", 880, "qualitative.jsonl")


def test_a_prepared_config_is_whole(tmp_path: Path) -> None:
    write(tmp_path, row("a"), name="qualitative.jsonl")
    with pytest.raises(SplitError, match=r"not the whole .*math 1 of 80"):
        load_split("qualitative", root=tmp_path)


def test_rows_left_out_make_another_split(tmp_path: Path) -> None:
    path = write(tmp_path, row("a"), row("b", turns=[f"{PLACEHOLDER}: x"]))
    split = load_split(SplitSource(path, skip_placeholders=True))
    assert split.sha256 == load_split(write(tmp_path, row("a"), name="other.jsonl")).sha256
    assert len(split.notes) == 1


def test_a_name_a_length_and_an_expected_content(tmp_path: Path) -> None:
    path = write(tmp_path, row("a", turns=["word " * 50]), row("b"))
    source = SplitSource(path, name="ours", isl=InputLength(20))
    split = load_split(source, tokenizer=lambda: folder_tokenizer(TARGET))
    assert split.name == "ours"
    assert all(prompt.isl_tokens for prompt in split.prompts)
    with pytest.raises(SplitError, match=f"{split.sha256[:12]}…, but aaaaaaaaaaaa… is expected"):
        load_split(SplitSource(path, sha256="a" * 64, isl=InputLength(20)), tokenizer=lambda: folder_tokenizer(TARGET))
    with pytest.raises(SplitError, match="depend on the target's tokenizer"):
        load_split(source)


def test_random_tokens_have_a_length_of_their_own() -> None:
    with pytest.raises(ConfigError, match="an input length is asked too"):
        SplitSource("random:1k", isl=InputLength(20)).check()


@pytest.mark.parametrize("source", ["hub:", "hub:owner", "hub:owner/name@", "random:x", "random:5x0"])
def test_what_is_written_wrongly(source: str) -> None:
    with pytest.raises(ConfigError):
        SplitSource(source).check()
