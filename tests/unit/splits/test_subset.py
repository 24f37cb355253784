"""Subsets: nested, spread, the same everywhere; and conditions on what they keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import Prompt, Split, select
from pytest_speedbench.splits.conditions import parse_conditions
from pytest_speedbench.splits.tokenizers import folder_tokenizer

TARGET = BUNDLED_FOLDER / "target"


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


def test_conditions_keep_the_identity_of_the_whole() -> None:
    split = example({"math": 2, "qa": 3})
    part = select(split, where=parse_conditions("category=qa,question_id!=qa-1", "where"))
    assert [prompt.question_id for prompt in part.prompts] == ["qa-0", "qa-2"]
    assert (part.name, part.sha256, part.total) == (split.name, split.sha256, 5)


def test_the_prompts_that_meet_a_condition_are_spread_too() -> None:
    split = example({"math": 4, "qa": 4})
    where = parse_conditions("question_id!=qa-0", "where")
    assert select(split, prompts=4, where=where).counts() == {"math": 2, "qa": 2}
    with pytest.raises(SplitError, match="8 prompts are asked of 7"):
        select(split, prompts=8, where=where)


def test_tokens_are_counted_by_the_targets_tokenizer() -> None:
    split = example({"math": 2})
    split = replace(split, prompts=(split.prompts[0], replace(split.prompts[1], turns=("word " * 50,))))
    part = select(split, where=parse_conditions("tokens>20", "where"), tokenizer=lambda: folder_tokenizer(TARGET))
    assert [prompt.question_id for prompt in part.prompts] == ["math-1"]


def test_a_condition_that_nothing_meets_says_what_there_is() -> None:
    with pytest.raises(SplitError, match=r"no prompt meets category=code.*category is math, qa"):
        select(example({"math": 1, "qa": 1}), where=parse_conditions("category=code", "where"))
