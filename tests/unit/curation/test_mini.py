"""The bundled split ``mini`` is held to what it preaches: its categories are more diverse than chance makes them."""

from __future__ import annotations

from functools import cache
from itertools import islice

import numpy as np
import pytest

from examples.tiny_family.corpus import CATEGORIES, heldout_conversations
from pytest_speedbench.curation import curate, tfidf
from pytest_speedbench.curation.curate import Similarity
from pytest_speedbench.curation.vectors import average_similarity, unit_rows
from pytest_speedbench.splits import Prompt, Split, load_split
from tests.unit.curation.vectors import cosines

CANDIDATES = 200
"""Prompts drawn for each category from the templates that ``mini`` was made of."""

MOST_ALIKE = 0.6


@cache
def measured() -> dict[str, tuple[float, float, Similarity]]:
    """By category: average similarity in ``mini``, of its most similar pair, and what the candidates give."""
    mini = load_split("mini")
    pool = {(prompt.category, prompt.turns): prompt for prompt in mini.prompts}
    for category in CATEGORIES:
        for conversation in islice(heldout_conversations(category, seed=1), CANDIDATES):
            turns = tuple(message.content for message in conversation.messages if message.role == "user")
            pool.setdefault((category, turns), Prompt(f"pool-{len(pool):05d}", category, "", turns))
    candidates = Split("candidates", tuple(pool.values()), "", len(pool))
    embeddings = tfidf(candidates)
    figures = {}
    for curated in curate(candidates, embeddings, 16).categories:
        rows = [row for row, prompt in enumerate(mini.prompts) if prompt.category == curated.name]
        units = unit_rows(embeddings, rows, [curated.name] * len(rows))
        pairs = cosines(units)
        np.fill_diagonal(pairs, 0)
        figures[curated.name] = average_similarity(units), float(pairs.max()), curated.similarity
    return figures


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_is_more_diverse_than_as_many_random_candidates(category: str) -> None:
    average, highest, pool = measured()[category]
    assert average < 0.9 * pool.random
    assert highest < MOST_ALIKE


def test_mini_is_as_diverse_as_the_best_of_a_hundred_random_draws() -> None:
    averages, _, pools = zip(*measured().values(), strict=True)
    assert np.mean(averages) < 1.1 * np.mean([pool.random_lowest for pool in pools])
    assert np.mean(averages) < 0.7 * np.mean([pool.random for pool in pools])
