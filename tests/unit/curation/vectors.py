"""Candidates and vectors for tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pytest_speedbench.curation.embeddings import ArrayEmbeddings
from pytest_speedbench.curation.vectors import DenseLattice, Lattice, Matrix, lattice_of
from pytest_speedbench.splits import Prompt, Split

Array = npt.NDArray[np.float64]


def split_of(ids: Sequence[str], category: str = "math") -> Split:
    prompts = tuple(Prompt(question_id, category, "", (f"What is {question_id}?",)) for question_id in ids)
    return Split("candidates", prompts, "0" * 64, len(prompts))


def clustered(seed: int, rows: int, dimensions: int) -> Array:
    """Directions around four centres that have something in common."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((4, dimensions)) + 0.5
    return centres[rng.integers(0, 4, rows)] + rng.standard_normal((rows, dimensions))


def lattice(vectors: Array) -> Lattice:
    built, _ = lattice_of(
        ArrayEmbeddings(vectors, "a test"), range(len(vectors)), [str(n) for n in range(len(vectors))]
    )
    assert isinstance(built, DenseLattice)
    return built


def cosines(units: Matrix) -> Array:
    """Of every pair of unit vectors, rows × rows."""
    from scipy.sparse import csr_array

    vectors = csr_array(units)
    return np.asarray((vectors @ vectors.T).toarray(), dtype=np.float64)


def naive_average(vectors: Array) -> float:
    """The definition: the mean of the cosine of every pair."""
    cosines = [
        float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other))) for one, other in combinations(vectors, 2)
    ]
    return sum(cosines) / len(cosines)
