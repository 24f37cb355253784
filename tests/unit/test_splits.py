from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import Prompt, Split, load_split, select


def row(question_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"question_id": question_id, "category": "math", "turns": ["1 + 1?"], **changes}


def write(folder: Path, *rows: Any) -> str:
    path = folder / "own.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in rows), encoding="utf-8")
    return str(path)


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
    assert load_split(write(tmp_path, row("b"), row("a"))).sha256 != first


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty"),
        (["", "  "], "is empty"),
        (["{"], "line 1 is no JSON"),
        ([row(), "[]"], "line 2: Expected `object`, got `array`"),
        ([{"question_id": "a", "category": "math"}], "missing required field `turns`"),
        ([row(turns=[])], "has no turns"),
        ([row(turns=["  "])], "has an empty turn"),
        ([row(turns="hello")], "Expected `array`, got `str` - at `$.turns`"),
        ([row(turns=[1])], "Expected `str`, got `int` - at `$.turns[0]`"),
        ([{**row(), "question_id": 3}], "at `$.question_id`"),
        ([row(question_id=" ")], "question_id is empty"),
        ([row(category="")], "category is empty"),
        ([row(category="overall")], "cannot be called 'overall'"),
        ([row("a"), row("b"), row("a")], "line 3: question_id 'a' was used in line 1"),
        (
            [row(turns=["FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE USING SPECDEC_BENCH: x"])],
            "is a placeholder",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(SplitError) as caught:
        load_split(write(tmp_path, *rows))
    assert message in str(caught.value)
    assert "own.jsonl" in str(caught.value)


def test_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'{"question_id": "\xff"}')
    with pytest.raises(SplitError, match=r"line 1"):
        load_split(str(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"Did you mean 'mini'\?"):
        load_split("minni")
    with pytest.raises(SplitError, match="is a folder"):
        load_split(str(tmp_path))


def example(categories: dict[str, int]) -> Split:
    prompts = tuple(
        Prompt(f"{category}-{number}", category, "", ("x",))
        for category, count in categories.items()
        for number in range(count)
    )
    return Split("example", prompts, "hash", len(prompts))


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1),
    st.data(),
)
def test_subsets_are_nested_and_spread_evenly(categories: dict[str, int], data: st.DataObject) -> None:
    split = example(categories)
    small = data.draw(st.integers(1, len(split)))
    large = data.draw(st.integers(small, len(split)))
    few, many = select(split, prompts=small), select(split, prompts=large)
    assert len(few) == small
    assert set(few.prompts) <= set(many.prompts)
    assert [p for p in split.prompts if p in few.prompts] == list(few.prompts)
    counts = few.counts()
    most = max(counts.values())
    assert all(counts.get(name, 0) >= min(size, most - 1) for name, size in categories.items())
    assert (few.sha256, few.total) == (split.sha256, split.total)


def test_the_subset_depends_on_the_ids_alone() -> None:
    split = example({"a": 5, "b": 5})
    backwards = Split("example", split.prompts[::-1], "hash", 10)
    assert set(select(split, prompts=4).prompts) == set(select(backwards, prompts=4).prompts)


def test_categories_are_chosen_and_checked() -> None:
    split = example({"math": 2, "qa": 3})
    assert select(split, ["qa"]).counts() == {"qa": 3}
    with pytest.raises(SplitError, match=r"no category 'maths'. Did you mean 'math'\?"):
        select(split, ["maths"])
    with pytest.raises(SplitError, match="6 prompts are asked of 5"):
        select(split, prompts=6)
