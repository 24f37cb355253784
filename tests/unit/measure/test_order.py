from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.measure.order import stratified_order
from pytest_speedbench.splits import Prompt

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=11)


def split(sizes: list[int]) -> list[Prompt]:
    return [Prompt(f"{n}-{i}", f"category {n}", "", ("?",)) for n, size in enumerate(sizes) for i in range(size)]


@given(sizes, st.integers())
def test_every_prompt_is_asked_once(sizes: list[int], seed: int) -> None:
    prompts = split(sizes)
    assert sorted(p.question_id for p in stratified_order(prompts, seed)) == sorted(p.question_id for p in prompts)


@given(sizes, st.integers())
def test_every_category_has_its_share_at_any_time(sizes: list[int], seed: int) -> None:
    prompts = split(sizes)
    planned = Counter(p.category for p in prompts)
    asked: Counter[str] = Counter()
    for place, prompt in enumerate(stratified_order(prompts, seed), start=1):
        asked[prompt.category] += 1
        for category, size in planned.items():
            assert abs(asked[category] - Fraction(place * size, len(prompts))) < 1


@given(sizes, st.integers(), st.randoms())
def test_the_order_given_does_not_matter(sizes: list[int], seed: int, shuffler: random.Random) -> None:
    prompts = split(sizes)
    shuffled = prompts.copy()
    shuffler.shuffle(shuffled)
    assert stratified_order(shuffled, seed) == stratified_order(prompts, seed)


def test_another_seed_gives_another_order() -> None:
    prompts = split([20, 20])
    orders = {stratified_order(prompts, seed) for seed in range(50)}
    assert len(orders) == 50


def test_the_order_is_the_same_everywhere() -> None:
    ids = [prompt.question_id for prompt in stratified_order(split([4, 2]), 0)]
    assert ids == ["0-2", "1-1", "0-0", "0-1", "1-0", "0-3"]


def test_every_prompt_of_a_category_comes_first_equally_often() -> None:
    prompts = split([8, 3])
    first: Counter[str] = Counter()
    for seed in range(4000):
        first[next(p.question_id for p in stratified_order(prompts, seed) if p.category == "category 0")] += 1
    # Chi-squared with 7 degrees of freedom exceeds 24.3 once in a thousand.
    assert sum((first[p.question_id] - 500) ** 2 / 500 for p in prompts[:8]) < 24.3


def test_nothing_in_nothing_out() -> None:
    assert stratified_order([], 1) == ()
