"""Pairs of prompts made by hand or at random."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.gate import Pairing, PromptPair

Values = NDArray[np.float64]


def pairing(categories: Mapping[str, tuple[Iterable[float], Iterable[float]]]) -> Pairing:
    """``{category: (baseline lengths, candidate lengths)}``"""
    pairs = [
        PromptPair(f"{category}-{number}", category, before, after, 50, 60)
        for category, (baseline, candidate) in categories.items()
        for number, (before, after) in enumerate(zip(baseline, candidate, strict=True))
    ]
    return Pairing(tuple(pairs), update_hint="Run again with --speedbench-update.")


def lengths(rng: np.random.Generator, prompts: int) -> Values:
    """Acceptance lengths as prompts have them at a draft length of 3: about 2.3 on average."""
    p = rng.beta(6, 4, size=prompts)
    return np.asarray(1 + p + p**2 + p**3)


def noisy(rng: np.random.Generator, values: Values, ratio: float, noise: float) -> Values:
    """The lengths times a ratio, each with its own relative noise."""
    return np.asarray(values * ratio * (1 + noise * rng.standard_normal(values.size)))


def one_category(baseline: Sequence[float], candidate: Sequence[float]) -> Pairing:
    return pairing({"qa": (baseline, candidate)})
