"""Categories, figures and refusals of a curation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pytest_speedbench.curation import curate
from pytest_speedbench.curation.curate import jsonl
from pytest_speedbench.curation.embeddings import ArrayEmbeddings
from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import Prompt, Split
from tests.unit.curation.vectors import clustered, naive_average, split_of


def two_categories() -> Split:
    prompts = tuple(
        Prompt(f"q{n:02d}", "qa" if n % 3 else "math", "", (f"Question {n}",), source="mine") for n in range(30)
    )
    return Split("mine", prompts, "0" * 64, 30, notes=("One row was left out.",))


def test_each_category_is_selected_and_measured_by_itself() -> None:
    split, vectors = two_categories(), clustered(1, 30, 8)
    result = curate(split, ArrayEmbeddings(vectors, "a test"), 4)
    assert [(c.name, c.candidates, len(c.selected)) for c in result.categories] == [("math", 10, 4), ("qa", 20, 4)]
    for category in result.categories:
        rows = [n for n, prompt in enumerate(split.prompts) if prompt.category == category.name]
        chosen = [int(question_id[1:]) for question_id in category.selected]
        assert set(chosen) <= set(rows)
        figures = category.similarity
        assert figures.candidates == pytest.approx(naive_average(vectors[rows]))
        assert figures.selected == pytest.approx(naive_average(vectors[chosen]))
        assert figures.selected < figures.random_lowest < figures.random
        assert figures.random == pytest.approx(figures.candidates, abs=0.05)
    assert result.overall.selected == pytest.approx(np.mean([c.similarity.selected for c in result.categories]))
    assert result.notes == ("One row was left out.",)
    alone = replace(split, prompts=tuple(prompt for prompt in split.prompts if prompt.category == "qa"))
    rows = [n for n in range(30) if n % 3]
    assert curate(alone, ArrayEmbeddings(vectors[rows], "a test"), 4).categories[0] == result.categories[1]


def test_the_seed_changes_the_random_draws_only() -> None:
    split, embeddings = two_categories(), ArrayEmbeddings(clustered(1, 30, 8), "a test")
    one, other = (curate(split, embeddings, 4, seed) for seed in (0, 1))
    assert one.selected == other.selected
    assert one.overall.random != other.overall.random
    assert one.categories == curate(split, embeddings, 4, 0).categories


def test_the_selection_is_written_in_the_columns_of_speed_bench() -> None:
    prompts = (
        Prompt("a", "qa", "facts", ("Où?", "Then?"), "mine", "7", "easy"),
        Prompt("b", "qa", "", ("你好",), system="Be brief."),
    )
    first, second = (json.loads(line) for line in jsonl(prompts).decode().splitlines())
    assert first == {
        "question_id": "a",
        "category": "qa",
        "sub_category": "facts",
        "turns": ["Où?", "Then?"],
        "source": "mine",
        "src_id": "7",
        "difficulty": "easy",
        "multiturn": True,
    }
    assert list(first) == list(second)[:-1]
    assert (second["system"], second["multiturn"]) == ("Be brief.", False)


@pytest.mark.parametrize(
    ("rows", "value", "message"),
    [
        ([2], 0.0, r"a test: the vector of candidate 3, 'c', is zero: .* Leave that candidate out"),
        ([3], np.nan, r"candidate 4, 'd', is not finite:"),
        ([1, 4], -np.inf, r"candidate 2, 'b', is not finite \(and 1 more like it\):"),
    ],
)
def test_vectors_without_a_direction_are_refused(rows: list[int], value: float, message: str) -> None:
    vectors = clustered(1, 5, 4)
    vectors[rows] = value
    with pytest.raises(SplitError, match=message):
        curate(split_of(list("abcde")), ArrayEmbeddings(vectors, "a test"), 2)


def test_one_entry_that_is_not_finite_is_enough() -> None:
    vectors = clustered(1, 5, 4)
    vectors[3, 2] = np.nan
    with pytest.raises(SplitError, match="candidate 4, 'd', is not finite"):
        curate(split_of(list("abcde")), ArrayEmbeddings(vectors, "a test"), 2)


def test_too_few_candidates_are_refused_by_category() -> None:
    with pytest.raises(SplitError, match=r"12 prompts .* fewer candidates: math 10\. Select at most 10, or add"):
        curate(two_categories(), ArrayEmbeddings(clustered(1, 30, 8), "a test"), 12)


def test_a_prompt_that_is_there_twice_is_refused() -> None:
    split = split_of(list("abcde"))
    prompts = (*split.prompts, replace(split.prompts[1], question_id="f"), replace(split.prompts[0], question_id="g"))
    twice = replace(split, prompts=prompts)
    with pytest.raises(SplitError, match=r"candidate 6, 'f', is the same prompt as candidate 2, 'b' \(and 1 more"):
        curate(twice, ArrayEmbeddings(clustered(1, 7, 4), "a test"), 2)
    apart = replace(split, prompts=(*split.prompts, replace(split.prompts[1], question_id="f", system="Be brief.")))
    assert curate(apart, ArrayEmbeddings(clustered(1, 6, 4), "a test"), 2).selected
