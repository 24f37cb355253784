"""Which experts a mixture-of-experts target loads: unique experts per layer of a batch, and how even their use is.

All tokens that run through a layer together need the union of the experts they are routed to, and the weights of each
of those experts are read once. That union out of the E experts, not the k experts of a single token, is what a decode
or verify step pays for while it is bound by memory. Real and random text fill it at different rates, which is why
SPEED-Bench (arXiv:2604.09557) warns of random-token prompts for such targets.

Routing is given as one integer array per request, of shape (tokens, layers, top_k): for every token that ran through
the target, in order, the ids of its ``top_k`` distinct experts in each mixture layer. Layers without experts are left
out by whoever reads the routing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np

from pytest_speedbench.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_speedbench.engines.base import RoutedExperts

    ExpertIds = NDArray[np.integer]
    Floats = NDArray[np.float64]


def expert_ids(routed: RoutedExperts) -> ExpertIds:
    """What an engine returned for a request, as an array of shape (tokens, layers, top_k).

    Raises:
        EngineError: shape and content do not fit each other.
    """
    ids = np.frombuffer(routed.ids, dtype="<u2")
    if ids.size != prod(routed.shape):
        raise EngineError(
            f"The engine returned {ids.size} expert ids where the shape {routed.shape} needs {prod(routed.shape)}.",
            "Report this against the engine's adapter.",
        )
    return ids.reshape(routed.shape)


@dataclass(frozen=True, slots=True)
class BatchShape:
    """The tokens that run through the target together: ``tokens_each`` consecutive ones of each of ``sequences``.

    A decode batch has one token a sequence, a verify batch K + 1 (the drafts and the token before them), and a prefill
    chunk many of one sequence.
    """

    sequences: int
    tokens_each: int = 1

    @property
    def tokens(self) -> int:
        """Tokens in the batch."""
        return self.sequences * self.tokens_each


@dataclass(frozen=True, slots=True)
class UniqueExperts:
    """Experts a batch loads, averaged over ``batches`` drawn ones.

    Attributes:
        shape: the batch.
        batches: how many were drawn.
        per_layer: mean number of unique experts in each layer.
        mean: their mean over the layers.
        standard_error: of ``mean``, over the drawn batches; ``None`` for a single one. Batches are drawn from the same
            requests, so it says how exactly ``mean`` describes these requests, not all requests there could be.
        uniform: what independent, uniformly random routing would give, see :func:`uniform_unique_experts`.
        independent: mean over the layers of what independent tokens with these requests' own shares of each expert
            would give, see :func:`independent_unique_experts`.
    """

    shape: BatchShape
    batches: int
    per_layer: tuple[float, ...]
    mean: float
    standard_error: float | None
    uniform: float
    independent: float


class Routing:
    """The routing of many requests through one target, ready for drawing batches.

    Args:
        requests: one array of expert ids per request, shape (tokens, layers, top_k), the same layers and top_k in all.
        experts: E, experts in every layer.

    Raises:
        ValueError: there is no token, shapes differ, an id is not in 0..E-1, or a token names an expert twice.
    """

    def __init__(self, requests: Sequence[ExpertIds], experts: int) -> None:
        shapes = {request.shape[1:] for request in requests if request.ndim == 3}
        if len(shapes) != 1 or any(request.ndim != 3 for request in requests):
            raise ValueError("Routing needs arrays of shape (tokens, layers, top_k) that differ in their tokens only.")
        self.layers, self.top_k = shapes.pop()
        ids = np.concatenate(list(requests)).astype(np.int64)
        if ids.size == 0:
            raise ValueError("Routing needs at least one token, one layer and one expert per token.")
        if ids.min() < 0 or ids.max() >= experts:
            raise ValueError(f"Expert ids must be in 0..{experts - 1}, but are in {ids.min()}..{ids.max()}.")
        self.experts = experts
        self.lengths_tokens = np.array([len(request) for request in requests])
        self._starts = np.cumsum(self.lengths_tokens) - self.lengths_tokens
        self._used = np.zeros((len(ids), self.layers, experts), dtype=np.bool_)
        np.put_along_axis(self._used, ids, True, axis=2)
        if (self._used.sum(axis=2) != self.top_k).any():
            raise ValueError(
                f"A token must be routed to {self.top_k} different experts, but one names an expert twice."
            )

    def load(self) -> NDArray[np.int64]:
        """Tokens routed to each expert, shape (layers, experts); every row sums to tokens × top_k."""
        counts: NDArray[np.int64] = self._used.sum(axis=0, dtype=np.int64)
        return counts

    def unique_experts(self, shape: BatchShape, batches: int, seed: int) -> UniqueExperts:
        """Draw ``batches`` batches and count the experts they load.

        A batch takes different requests, each with ``tokens_each`` consecutive tokens from a uniformly random place.
        Requests shorter than that are never drawn.

        Raises:
            ValueError: fewer than ``sequences`` requests have ``tokens_each`` tokens, or a count is not positive.
        """
        if min(shape.sequences, shape.tokens_each, batches) < 1:
            raise ValueError("A batch needs at least one sequence and one token of it, and one batch must be drawn.")
        long_enough = np.flatnonzero(self.lengths_tokens >= shape.tokens_each)
        if len(long_enough) < shape.sequences:
            raise ValueError(
                f"A batch of {shape.sequences} sequences cannot be drawn: "
                f"{len(long_enough)} requests have {shape.tokens_each} tokens or more."
            )
        rng = np.random.default_rng(seed)
        counts = np.stack([self._draw(shape, long_enough, rng) for _ in range(batches)])
        of_batches = counts.mean(axis=1)
        drawable = self._used[np.repeat(self.lengths_tokens >= shape.tokens_each, self.lengths_tokens)]
        return UniqueExperts(
            shape,
            batches,
            tuple(counts.mean(axis=0).tolist()),
            float(of_batches.mean()),
            float(of_batches.std(ddof=1)) / sqrt(batches) if batches > 1 else None,
            uniform_unique_experts(self.experts, self.top_k, shape.tokens),
            float(independent_unique_experts(drawable.mean(axis=0), shape.tokens).mean()),
        )

    def _draw(self, shape: BatchShape, long_enough: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int64]:
        """Unique experts of one batch in each layer."""
        drawn = rng.choice(long_enough, shape.sequences, replace=False)
        offsets = rng.integers(0, self.lengths_tokens[drawn] - shape.tokens_each + 1)
        tokens = (self._starts[drawn] + offsets)[:, None] + np.arange(shape.tokens_each)
        counts: NDArray[np.int64] = self._used[tokens.ravel()].any(axis=0).sum(axis=1)
        return counts


def uniform_unique_experts(experts: int, top_k: int, tokens: int) -> float:
    """Expected unique experts of ``tokens`` tokens, each routed to ``top_k`` of ``experts`` uniformly at random.

    A token's k distinct experts leave out a given one of the E with probability 1 - k/E. B independent tokens all leave
    it out with probability (1 - k/E)^B, so it is loaded with probability 1 - (1 - k/E)^B, and expectations add up over
    the E experts, dependent or not: E(1 - (1 - k/E)^B). It is the occupancy problem's expected number of occupied
    cells (Feller, An Introduction to Probability Theory and Its Applications, vol. 1), with k balls thrown at a time.
    """
    return experts * (1.0 - (1.0 - top_k / experts) ** tokens)


def independent_unique_experts(shares: Floats, tokens: int) -> Floats:
    """The same expectation for tokens that are independent but use the experts unevenly; one value per layer.

    ``shares[layer, e]`` is the share of tokens routed to expert e, so that a layer's shares sum to k. The layer's
    expectation is the sum over e of 1 - (1 - share)^tokens, at most the uniform one because that term is concave in the
    share. What a real batch loads less than this comes from its tokens being alike.
    """
    expectation: Floats = (1.0 - (1.0 - shares) ** tokens).sum(axis=-1)
    return expectation


def normalized_entropy(load: NDArray[np.integer]) -> Floats:
    """Evenness of the experts' use in each layer: Shannon entropy of the load over ln E. 1 is even, 0 a single expert.

    Raises:
        ValueError: a layer has no load, or there are fewer than two experts.
    """
    shares = _shares(load)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: Floats = np.maximum(-(shares * logs).sum(axis=-1), 0.0)
    entropy /= np.log(shares.shape[-1])
    return entropy


def load_imbalance(load: NDArray[np.integer]) -> Floats:
    """Load of the busiest expert over the mean load, in each layer: 1 is even, E a single expert.

    With experts spread over devices, the busiest one decides how long a layer takes.

    Raises:
        ValueError: as for :func:`normalized_entropy`.
    """
    shares = _shares(load)
    busiest: Floats = shares.max(axis=-1) * shares.shape[-1]
    return busiest


def _shares(load: NDArray[np.integer]) -> Floats:
    if load.ndim != 2 or load.shape[1] < 2 or (load.sum(axis=-1) <= 0).any():
        raise ValueError("A load needs shape (layers, experts), two experts or more, and a routed token in each layer.")
    shares: Floats = load / load.sum(axis=-1, keepdims=True)
    return shares
