"""Unit vectors, their average similarity, and a rounding of them whose similarities every machine gets alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_speedbench.errors import SplitError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from pytest_speedbench.curation.embeddings import Embeddings

FloatArray: TypeAlias = npt.NDArray[np.float64]
Matrix: TypeAlias = "FloatArray | csr_array"

BLOCK_ROWS = 256
"""Rows that are held in double precision at a time."""

DENSE_LENGTH = 2**12
"""Length of a dense vector on the lattice: products of two stay below 2^24, up to which float32 is exact."""

SPARSE_LENGTH = 2**20
"""Length of a sparse vector on the lattice: products of two, and sums of thousands, stay exact in float64."""


class Lattice(Protocol):
    """Unit vectors, stretched and rounded to whole numbers.

    Sums of whole numbers are exact in any order, so that a choice made by comparing similarities is the same on every
    machine, whatever its linear algebra library. The rounding moves a dense similarity by about 1e-4.
    """

    def __len__(self) -> int: ...

    def column(self, row: int) -> npt.NDArray[np.floating]:
        """The similarity of every vector to that of ``row``, in lattice units."""

    def to_all(self) -> FloatArray:
        """The sum of the similarities of every vector to all of them, in lattice units."""


class DenseLattice:
    """A lattice in single precision, as much memory as the embeddings themselves."""

    def __init__(self, rows: int, dimensions: int) -> None:
        self._vectors = np.empty((rows, dimensions), dtype=np.float32)
        # Rounding lengthens a vector by at most half a unit in each dimension.
        self._length = DENSE_LENGTH - np.sqrt(dimensions) / 2

    def __len__(self) -> int:
        return len(self._vectors)

    def fill(self, start: int, units: FloatArray) -> None:
        """Round these unit vectors into the rows from ``start`` on. They are overwritten."""
        units *= self._length
        self._vectors[start : start + len(units)] = np.rint(units, out=units)

    def column(self, row: int) -> npt.NDArray[np.floating]:
        """As :class:`Lattice` says."""
        column: npt.NDArray[np.floating] = self._vectors @ self._vectors[row]
        return column

    def to_all(self) -> FloatArray:
        """As :class:`Lattice` says."""
        total = self._vectors.sum(axis=0, dtype=np.float64)
        # A product with float64 would copy all vectors to float64 at once.
        return np.concatenate([self._vectors[rows].astype(np.float64) @ total for rows in blocks(len(self))])


class SparseLattice:
    """A lattice of sparse vectors, in double precision."""

    def __init__(self, units: csr_array) -> None:
        self._vectors = units.copy()
        self._vectors.data = np.rint(self._vectors.data * SPARSE_LENGTH)

    def __len__(self) -> int:
        return int(self._vectors.shape[0])

    def column(self, row: int) -> npt.NDArray[np.floating]:
        """As :class:`Lattice` says."""
        return self._times(self._vectors[[row]].toarray()[0])

    def to_all(self) -> FloatArray:
        """As :class:`Lattice` says."""
        return self._times(self._vectors.sum(axis=0))

    def _times(self, vector: FloatArray) -> FloatArray:
        product: FloatArray = self._vectors @ vector
        return product


def lattice_of(embeddings: Embeddings, rows: Sequence[int], names: Sequence[str]) -> tuple[Lattice, float]:
    """The vectors of these rows on a lattice, and the average similarity of all their pairs.

    Args:
        embeddings: where they are.
        rows: at least 2.
        names: of these rows, for messages.

    Raises:
        SplitError: a vector that is zero or not finite; it names the candidate.
    """
    if embeddings.sparse:
        from scipy.sparse import csr_array

        sparse_units = csr_array(unit_rows(embeddings, rows, names))
        return SparseLattice(sparse_units), average_similarity(sparse_units)
    lattice = DenseLattice(len(rows), embeddings.dimensions)
    total = np.zeros(embeddings.dimensions)
    for block in blocks(len(rows)):
        units = np.asarray(unit_rows(embeddings, rows[block], names[block]))
        total += units.sum(axis=0)
        lattice.fill(block.start, units)
    return lattice, _average(total, len(rows))


def unit_rows(embeddings: Embeddings, rows: Sequence[int], names: Sequence[str]) -> Matrix:
    """The vectors of these rows in double precision, each divided by its length.

    Raises:
        SplitError: a vector that is zero or not finite; it names the candidate.
    """
    matrix = embeddings.read(rows)
    if not isinstance(matrix, np.ndarray):
        return _sparse_units(matrix, embeddings, rows, names)
    # Divided by its largest entry first, no vector is too long or too short for its squares.
    largest = np.abs(matrix).max(axis=1)
    for wrong, what in ((~np.isfinite(largest), "not finite"), (largest == 0, "zero")):
        _refuse(wrong, what, embeddings, rows, names)
    matrix /= largest[:, None]
    matrix /= np.sqrt(_row_sums(matrix * matrix))[:, None]
    return matrix


def average_similarity(units: Matrix) -> float:
    """Average cosine similarity of all pairs of these unit vectors: (|Σx|² − n) / (n (n − 1)).

    Args:
        units: at least 2 rows of length 1.
    """
    total = np.asarray(units.sum(axis=0), dtype=np.float64)
    return _average(total, units.shape[0])


def blocks(rows: int) -> Iterator[slice]:
    """Slices of at most :data:`BLOCK_ROWS`, in order."""
    return (slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS))


def _average(total: FloatArray, rows: int) -> float:
    return float((total @ total - rows) / (rows * (rows - 1)))


def _row_sums(squares: FloatArray) -> FloatArray:
    """The sum of each row, added up in one order on every machine; numpy's own depends on the processor."""
    while (width := squares.shape[1]) > 1:
        half = width // 2
        folded = squares[:, :half] + squares[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += squares[:, -1]
        squares = folded
    return squares[:, 0]


def _sparse_units(matrix: csr_array, embeddings: Embeddings, rows: Sequence[int], names: Sequence[str]) -> csr_array:
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    _refuse(lengths == 0, "zero", embeddings, rows, names)
    units: csr_array = matrix.multiply(1 / lengths[:, None]).tocsr()
    return units


def _refuse(
    wrong: npt.NDArray[np.bool_], what: str, embeddings: Embeddings, rows: Sequence[int], names: Sequence[str]
) -> None:
    places = np.flatnonzero(wrong)
    if places.size:
        first = places[0]
        more = f" (and {places.size - 1} more like it)" if places.size > 1 else ""
        raise SplitError(
            f"{embeddings.origin}: the vector of candidate {rows[first] + 1}, {names[first]!r}, is {what}{more}: "
            "it has no direction to compare.",
            "Leave that candidate out, or embed it anew.",
        )
