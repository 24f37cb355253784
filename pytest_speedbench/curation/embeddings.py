"""Vectors of candidates, and the files that users keep them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pytest_speedbench.curation.vectors import Matrix
from pytest_speedbench.errors import ConfigError, SplitError

if TYPE_CHECKING:
    from pytest_speedbench.splits import Split

ID_COLUMN = "question_id"
VECTOR_COLUMN = "embedding"
SUFFIXES = (".npy", ".parquet")
_BATCH_ROWS = 1024


class Embeddings(Protocol):
    """One vector for each candidate, in the candidates' order.

    Attributes:
        origin: what made them, or where they were read, for messages and records.
        dimensions: of each vector.
        sparse: whether :meth:`read` gives sparse matrices.
        notes: what the reader of the figures should know; one sentence each.
    """

    origin: str
    dimensions: int
    sparse: bool
    notes: tuple[str, ...]

    def read(self, rows: Sequence[int]) -> Matrix:
        """The vectors of these rows, a copy: rows × :attr:`dimensions`, in double precision."""


class ArrayEmbeddings:
    """Dense vectors in memory."""

    sparse = False

    def __init__(self, vectors: npt.NDArray[Any], origin: str, notes: tuple[str, ...] = ()) -> None:
        self.origin = origin
        self.notes = notes
        self.dimensions = int(vectors.shape[1])
        self._vectors = vectors

    def read(self, rows: Sequence[int]) -> Matrix:
        """As :class:`Embeddings` says."""
        return np.array(self._vectors[np.asarray(rows)], dtype=np.float64)


class FileEmbeddings:
    """Dense vectors in a ``.npy`` file. It is opened for each reading, so that what was read is given back."""

    sparse = False
    notes: tuple[str, ...] = ()

    def __init__(self, file: Path, rows: int) -> None:
        self.origin = str(file)
        self._file = file
        vectors = self._open()
        if vectors.ndim != 2 or vectors.dtype.kind != "f":
            raise ConfigError(
                f"{file} holds an array of shape {vectors.shape} and type {vectors.dtype}, no embeddings.",
                "It needs one row of floating-point numbers for each candidate.",
            )
        if vectors.shape[0] != rows:
            raise ConfigError(
                f"{file} holds {vectors.shape[0]} vectors for {rows} candidates.",
                "It needs one row for each candidate, in the candidates' order.",
            )
        if vectors.shape[1] == 0:
            raise ConfigError(f"{file} holds vectors of no dimensions.", "Embed the candidates anew.")
        self.dimensions = int(vectors.shape[1])

    def read(self, rows: Sequence[int]) -> Matrix:
        """As :class:`Embeddings` says."""
        return np.array(self._open()[np.asarray(rows)], dtype=np.float64)

    def _open(self) -> npt.NDArray[Any]:
        try:
            loaded: Any = np.load(self._file, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise _unreadable(self._file, error.strerror or str(error)) from None
        except (ValueError, EOFError, SyntaxError) as error:
            raise _unreadable(self._file, str(error)) from None
        if not isinstance(loaded, np.ndarray):
            loaded.close()
            raise _unreadable(self._file, "it is an archive of arrays")
        return loaded


def open_embeddings(file: Path, split: Split) -> Embeddings:
    """The vectors that a user keeps in a file.

    Args:
        file: ``.npy`` with one row for each candidate, in their order; or ``.parquet`` with the columns
            ``question_id`` and ``embedding``, a list of numbers, in any order.
        split: the candidates.

    Raises:
        ConfigError: the file cannot be read, or its shape is wrong.
        SplitError: its ids are not those of the candidates; it names one.
    """
    if file.suffix not in SUFFIXES:
        raise ConfigError(f"{file} is neither .npy nor .parquet.", "Write the embeddings as one of these.")
    if not file.is_file():
        raise ConfigError(f"There is no file {file}.", "Name the file that holds the embeddings.")
    if file.suffix == ".npy":
        return FileEmbeddings(file, len(split))
    return ArrayEmbeddings(_read_parquet(file, split), str(file))


def _read_parquet(file: Path, split: Split) -> npt.NDArray[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(
            f"{file} cannot be read without pyarrow.",
            'Install it with pip install "pytest-speedbench[data]", or write the embeddings as .npy.',
        ) from None
    places = {prompt.question_id: place for place, prompt in enumerate(split.prompts)}
    try:
        with parquet.ParquetFile(file) as table:
            vectors = _gather(file, table, places)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(file, str(error).partition("\n")[0]) from None
    if places:
        missing = next(iter(places))
        raise SplitError(
            f"{file} has no row for {len(places)} of {len(split)} candidates, the first of them {missing!r}.",
            "Give each candidate an embedding under its question_id.",
        )
    return vectors


def _gather(file: Path, table: Any, places: dict[str, int]) -> npt.NDArray[Any]:
    """The vectors by the candidates' places. Each place that was filled is taken out of ``places``."""
    vectors = np.empty((0, 0))
    numbers = _number_type(file, table.schema_arrow)
    rows, number, known = len(places), 0, frozenset(places)
    for batch in table.iter_batches(_BATCH_ROWS, columns=[ID_COLUMN, VECTOR_COLUMN]):
        ids, lists = batch.column(ID_COLUMN).to_pylist(), batch.column(VECTOR_COLUMN)
        block = _block(file, lists, number, vectors.shape[1] or None)
        if not vectors.size:
            vectors = np.empty((rows, block.shape[1]), dtype=numbers)
        for question_id, vector in zip(ids, block, strict=True):
            number += 1
            if question_id is None:
                raise SplitError(f"{file}, row {number}: question_id is empty.", "Name the candidate.")
            place = places.pop(str(question_id), None)
            if place is None:
                raise _foreign(file, number, str(question_id), known)
            vectors[place] = vector
    return vectors


def _number_type(file: Path, schema: Any) -> npt.DTypeLike:
    """The type of the vectors' numbers."""
    from pyarrow import types

    for column in (ID_COLUMN, VECTOR_COLUMN):
        if schema.get_field_index(column) < 0:
            raise ConfigError(
                f"{file} has no column {column!r}, but {', '.join(schema.names)}.",
                f"It needs {ID_COLUMN} and {VECTOR_COLUMN}, a list of numbers.",
            )
    kind = schema.field(VECTOR_COLUMN).type
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or not types.is_floating(kind.value_type):
        raise ConfigError(
            f"{file}: the column {VECTOR_COLUMN!r} holds {kind}, no embeddings.",
            "It needs a list of floating-point numbers in each row.",
        )
    numbers: npt.DTypeLike = kind.value_type.to_pandas_dtype()
    return numbers


def _block(file: Path, lists: Any, before: int, dimensions: int | None) -> npt.NDArray[Any]:
    """One batch of lists as rows × dimensions; ``dimensions`` is ``None`` if the first row says how many."""
    from pyarrow import compute

    lengths = compute.list_value_length(lists)
    if dimensions is None and len(lists):
        dimensions = lengths[0].as_py()
    for row, length in enumerate(lengths.to_pylist()):
        if not length or length != dimensions:
            is_what = "is empty" if not length else f"has {length} numbers, where others have {dimensions}"
            raise SplitError(
                f"{file}, row {before + row + 1}: the embedding {is_what}.", "Embed all candidates with one model."
            )
    values: npt.NDArray[Any] = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(lists), dimensions or 0)


def _foreign(file: Path, number: int, question_id: str, known: frozenset[str]) -> SplitError:
    where = f"{file}, row {number}: question_id {question_id!r}"
    if question_id in known:
        return SplitError(f"{where} was used before.", "Give each candidate one embedding.")
    return SplitError(f"{where} is none of the candidates'.", "Give embeddings of these candidates, and no others.")


def _unreadable(file: Path, why: str) -> ConfigError:
    return ConfigError(f"{file} cannot be read as embeddings: {why}.", "Write it anew, as .npy or .parquet.")
