"""The selection: what it is worth, and that it depends on nothing but vectors and ids."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_speedbench.curation import curate
from pytest_speedbench.curation.embeddings import ArrayEmbeddings
from pytest_speedbench.curation.selection import choose
from pytest_speedbench.curation.vectors import DENSE_LENGTH, DenseLattice, average_similarity, unit_rows
from tests.unit.curation.vectors import Array, clustered, lattice, naive_average, split_of

SEEDS = st.integers(0, 10_000)
PLAIN_VECTORS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12),
    elements=st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3),
).filter(lambda vectors: bool(np.abs(vectors).max(axis=1).all()))


@given(PLAIN_VECTORS)
def test_the_average_is_the_mean_over_all_pairs(vectors: Array) -> None:
    embeddings = ArrayEmbeddings(vectors, "a test")
    units = unit_rows(embeddings, range(len(vectors)), [""] * len(vectors))
    assert average_similarity(units) == pytest.approx(naive_average(vectors), abs=1e-12)


@given(SEEDS, st.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_swaps_never_worsen_and_end_where_none_helps(seed: int, number: int) -> None:
    vectors = clustered(seed, 40, 12)
    candidates = lattice(vectors)
    totals = [choose(candidates, number, max_swaps=swaps, starts=1).total for swaps in range(12)]
    assert totals == sorted(totals, reverse=True)
    choice = choose(candidates, number, starts=1)
    assert choice.settled
    assert choice.total <= totals[-1]
    chosen = list(choice.rows)
    columns = np.array([candidates.column(row) for row in range(40)], dtype=np.float64)
    for place, incoming in ((p, r) for p in range(number) for r in range(40) if r not in chosen):
        others = [row for row in chosen if row != chosen[place]]
        assert columns[others, incoming].sum() >= columns[others, chosen[place]].sum()


def test_a_choice_that_was_stopped_says_so() -> None:
    candidates = lattice(clustered(3, 60, 12))
    whole = choose(candidates, 10, starts=1)
    assert whole.swaps > 1
    assert not choose(candidates, 10, max_swaps=whole.swaps - 1, starts=1).settled
    assert choose(candidates, 10, max_swaps=whole.swaps, starts=1) == whole


def test_small_choices_are_close_to_the_optimum() -> None:
    gaps = []
    for seed in range(30):
        vectors = clustered(seed, 16, 8)
        averages: dict[tuple[int, ...], float] = {
            rows: naive_average(vectors[list(rows)]) for rows in combinations(range(16), 4)
        }
        lowest, mean = min(averages.values()), np.mean(list(averages.values()))
        gaps.append((averages[choose(lattice(vectors), 4).rows] - lowest) / (mean - lowest))
    assert np.median(gaps) == 0
    assert np.mean(np.array(gaps) > 1e-6) < 0.1
    assert max(gaps) < 0.1


@given(SEEDS, st.permutations(range(24)))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_candidates_does_not_matter(seed: int, order: list[int]) -> None:
    vectors = clustered(seed, 24, 10)
    ids = [f"q{n}" for n in range(24)]
    one = curate(split_of(ids), ArrayEmbeddings(vectors, "a test"), 6)
    other = curate(split_of([ids[n] for n in order]), ArrayEmbeddings(vectors[order], "a test"), 6)
    assert sorted(one.categories[0].selected) == sorted(other.categories[0].selected)
    assert one.overall == other.overall
    positions = [order.index(int(question_id[1:])) for question_id in other.categories[0].selected]
    assert positions == sorted(positions)


def test_equal_candidates_are_told_apart_by_their_ids() -> None:
    axes = np.repeat(np.eye(3), 4, axis=0)  # four of each direction
    ids = [f"q{n:02d}" for n in reversed(range(12))]
    assert curate(split_of(ids), ArrayEmbeddings(axes, "a test"), 3).categories[0].selected == ("q08", "q04", "q00")


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_lattice_is_exact_however_sums_are_ordered(seed: int) -> None:
    vectors = clustered(seed, 30, 257)
    candidates = lattice(vectors)
    assert isinstance(candidates, DenseLattice)
    whole = candidates._vectors.astype(np.int64)
    exact = whole @ whole.T
    assert np.abs(exact).max() <= DENSE_LENGTH**2
    for row in range(30):
        assert candidates.column(row).astype(np.int64).tolist() == exact[row].tolist()
    assert candidates.to_all().astype(np.int64).tolist() == exact.sum(axis=1).tolist()
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    assert np.abs(exact / DENSE_LENGTH**2 - units @ units.T).max() < 0.01


def test_scale_and_precision_of_the_vectors_do_not_matter() -> None:
    vectors = clustered(5, 50, 16)
    ids = [f"q{n:02d}" for n in range(50)]
    chosen = curate(split_of(ids), ArrayEmbeddings(vectors, ""), 8).categories[0].selected
    scales = np.float64(2.0) ** np.random.default_rng(1).integers(-500, 500, 50)
    assert curate(split_of(ids), ArrayEmbeddings(vectors * scales[:, None], ""), 8).categories[0].selected == chosen
    assert curate(split_of(ids), ArrayEmbeddings(vectors.astype(np.float32), ""), 8).categories[0].selected == chosen


def test_all_are_chosen_where_as_many_are_asked() -> None:
    vectors = clustered(2, 5, 4)
    result = curate(split_of(list("abcde")), ArrayEmbeddings(vectors, "a test"), 5)
    assert result.categories[0].selected == tuple("abcde")
    assert result.overall.selected == pytest.approx(result.overall.candidates) == pytest.approx(naive_average(vectors))
    assert result.categories[0].swaps == 0
