"""Unique experts of drawn batches against counting by hand, enumeration and simulation."""

from __future__ import annotations

from itertools import combinations, product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pytest_speedbench.engines.base import RoutedExperts
from pytest_speedbench.errors import EngineError
from pytest_speedbench.metrics.routing import (
    BatchShape,
    Routing,
    expert_ids,
    independent_unique_experts,
    load_imbalance,
    normalized_entropy,
    uniform_unique_experts,
)

Ids = NDArray[np.int64]


def uniform_routing(
    requests: int, tokens: int, layers: int, top_k: int, experts: int, seed: int, spread: float = 0.0
) -> list[Ids]:
    """Independent tokens; ``spread`` above 0 makes some experts likelier than others."""
    rng = np.random.default_rng(seed)
    tilt = spread * np.linspace(-1, 1, experts)
    scores = rng.gumbel(size=(requests, tokens, layers, experts)) + tilt
    return list(np.argsort(-scores, axis=-1)[..., :top_k])


@st.composite
def routings(draw: st.DrawFn) -> tuple[list[Ids], int]:
    """Requests of different lengths, and E."""
    experts = draw(st.integers(2, 12))
    top_k = draw(st.integers(1, experts))
    layers = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    spread = draw(st.sampled_from([0.0, 4.0]))
    whole = uniform_routing(1, sum(lengths), layers, top_k, experts, draw(st.integers(0, 99)), spread)[0]
    return np.split(whole, np.cumsum(lengths)[:-1]), experts


def union_sizes(tokens: Ids) -> list[int]:
    """Unique experts of some tokens in each layer, by sets."""
    return [len(set(tokens[:, layer].ravel().tolist())) for layer in range(tokens.shape[1])]


@given(routings(), st.data())
def test_a_batch_loads_the_union_of_what_its_tokens_use(routed: tuple[list[Ids], int], data: st.DataObject) -> None:
    requests, experts = routed
    tokens_each = data.draw(st.integers(1, max(map(len, requests))))
    drawable = [request for request in requests if len(request) >= tokens_each]
    shape = BatchShape(data.draw(st.integers(1, len(drawable))), tokens_each)
    found = Routing(requests, experts).unique_experts(shape, 5, seed=0)
    windows = [
        [request[start : start + tokens_each] for start in range(len(request) - tokens_each + 1)]
        for request in drawable
    ]
    of_batches = [
        union_sizes(np.concatenate(batch))
        for members in combinations(windows, shape.sequences)
        for batch in product(*members)
    ]
    for layer, value in enumerate(found.per_layer):
        possible = [sizes[layer] for sizes in of_batches]
        assert min(possible) <= value <= max(possible)
    assert found.mean == pytest.approx(fmean(found.per_layer))
    top_k = requests[0].shape[2]
    assert top_k <= found.mean <= min(experts, top_k * shape.tokens)
    assert found.mean <= max(map(fmean, of_batches)) + 1e-12
    assert found.independent <= found.uniform + 1e-9


@given(routings())
def test_all_requests_whole_leave_nothing_to_chance(routed: tuple[list[Ids], int]) -> None:
    requests, experts = routed
    shortest = min(map(len, requests))
    same_length = [request[:shortest] for request in requests]
    found = Routing(same_length, experts).unique_experts(BatchShape(len(same_length), shortest), 3, seed=1)
    assert found.per_layer == tuple(union_sizes(np.concatenate(same_length)))
    assert found.standard_error == 0.0


@given(routings(), st.data())
def test_the_names_of_experts_do_not_matter(routed: tuple[list[Ids], int], data: st.DataObject) -> None:
    requests, experts = routed
    renamed = np.array(data.draw(st.permutations(range(experts))))
    here, there = Routing(requests, experts), Routing([renamed[request] for request in requests], experts)
    shape = BatchShape(len(requests))
    first, second = here.unique_experts(shape, 4, seed=2), there.unique_experts(shape, 4, seed=2)
    assert first.per_layer == second.per_layer
    assert first.independent == pytest.approx(second.independent)
    assert normalized_entropy(here.load()) == pytest.approx(normalized_entropy(there.load()))
    assert load_imbalance(here.load()) == pytest.approx(load_imbalance(there.load()))


@pytest.mark.parametrize(("experts", "top_k", "tokens"), [(4, 1, 3), (4, 2, 2), (5, 2, 3), (3, 3, 2)])
def test_the_uniform_expectation_is_the_mean_over_all_routings(experts: int, top_k: int, tokens: int) -> None:
    choices = list(combinations(range(experts), top_k))
    mean = fmean(len(set().union(*batch)) for batch in product(choices, repeat=tokens))
    assert uniform_unique_experts(experts, top_k, tokens) == pytest.approx(mean)


@given(st.integers(1, 300), st.integers(0, 300), st.data())
def test_the_uniform_expectation_grows_from_k_to_all(experts: int, tokens: int, data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, experts))
    here = uniform_unique_experts(experts, top_k, tokens)
    assert here <= uniform_unique_experts(experts, top_k, tokens + 1) <= experts
    assert here <= min(experts, top_k * tokens) + 1e-9
    assert uniform_unique_experts(experts, top_k, 1) == pytest.approx(top_k)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30), st.integers(1, 100))
def test_uneven_independent_tokens_load_no_more_than_even_ones(shares: list[float], tokens: int) -> None:
    uneven = float(independent_unique_experts(np.array([shares]), tokens)[0])
    even = float(independent_unique_experts(np.full((1, len(shares)), fmean(shares)), tokens)[0])
    assert uneven <= even + 1e-9


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_independent_tokens_reach_the_expectation(spread: float) -> None:
    routing = Routing(uniform_routing(400, 8, 2, 2, 16, seed=3, spread=spread), 16)
    for shape in (BatchShape(1), BatchShape(8), BatchShape(8, 4), BatchShape(1, 8)):
        found = routing.unique_experts(shape, 2000, seed=4)
        assert found.standard_error is not None
        # Half a percent: the 3,200 tokens are themselves a draw.
        assert found.mean == pytest.approx(found.independent, abs=4 * found.standard_error + 0.005 * found.independent)
        if not spread:
            assert found.independent == pytest.approx(found.uniform, rel=0.01)
    if spread:
        assert found.independent < 0.97 * found.uniform


def test_tokens_that_are_alike_load_fewer_than_independent_ones() -> None:
    alike = [np.repeat(request[:1], 8, axis=0) for request in uniform_routing(50, 1, 1, 2, 16, seed=5)]
    routing = Routing(alike, 16)
    within = routing.unique_experts(BatchShape(1, 8), 50, seed=6)
    assert within.mean == 2.0 < within.independent
    assert routing.unique_experts(BatchShape(8), 50, seed=6).mean > 6.0


def test_short_requests_are_never_drawn() -> None:
    short, long = np.full((2, 1, 1), 0), np.array([[[1]], [[2]], [[3]]])
    routing = Routing([short, long], 4)
    found = routing.unique_experts(BatchShape(1, 3), 20, seed=7)
    assert found.per_layer == (3.0,)
    assert found.independent == pytest.approx(3 * (1 - (2 / 3) ** 3))
    with pytest.raises(ValueError, match="2 sequences cannot be drawn: 1 requests have 3 tokens"):
        routing.unique_experts(BatchShape(2, 3), 1, seed=7)


def test_load_counts_tokens() -> None:
    load = Routing([np.array([[[0, 1], [2, 0]]]), np.array([[[1, 2], [2, 3]]])], 4).load()
    assert load.tolist() == [[1, 2, 1, 0], [1, 0, 2, 1]]
    assert load_imbalance(load) == pytest.approx([2.0, 2.0])


def test_evenness_from_a_single_expert_to_all() -> None:
    load = np.array([[0, 7, 0, 0], [3, 3, 0, 0], [5, 5, 5, 5]])
    assert normalized_entropy(load) == pytest.approx([0.0, 0.5, 1.0])
    assert load_imbalance(load) == pytest.approx([4.0, 2.0, 1.0])


def test_one_batch_has_no_standard_error() -> None:
    assert Routing([np.zeros((1, 1, 1), int)], 2).unique_experts(BatchShape(1), 1, seed=0).standard_error is None


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "arrays of shape"),
        ([np.zeros((2, 1), int)], "arrays of shape"),
        ([np.zeros((1, 1, 1), int), np.zeros((1, 2, 1), int)], "arrays of shape"),
        ([np.zeros((0, 1, 1), int)], "at least one token"),
        ([np.full((1, 1, 1), 4)], r"in 0\.\.3, but are in 4\.\.4"),
        ([np.full((1, 1, 1), -1)], "in 0"),
        ([np.array([[[1, 1]]])], "2 different experts"),
    ],
)
def test_impossible_routing_is_refused(requests: list[Ids], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Routing(requests, 4)


@pytest.mark.parametrize(("shape", "batches"), [(BatchShape(0), 1), (BatchShape(1, 0), 1), (BatchShape(1), 0)])
def test_empty_batches_are_refused(shape: BatchShape, batches: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Routing([np.zeros((1, 1, 1), int)], 2).unique_experts(shape, batches, seed=0)


@pytest.mark.parametrize("load", [np.array([1, 2]), np.array([[3]]), np.array([[1, 2], [0, 0]])])
def test_evenness_of_nothing_is_refused(load: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="a routed token in each layer"):
        normalized_entropy(load)


def test_what_an_engine_returned_becomes_an_array() -> None:
    routed = RoutedExperts((2, 1, 2), bytes([1, 0, 2, 0, 3, 0, 0, 1]))
    assert expert_ids(routed).tolist() == [[[1, 2]], [[3, 256]]]
    with pytest.raises(EngineError, match=r"4 expert ids where the shape \(3, 1, 2\) needs 6"):
        expert_ids(RoutedExperts((3, 1, 2), routed.ids))
