"""Embeddings that users keep in files: .npy and parquet, good and bad."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_speedbench.curation import curate, open_embeddings
from pytest_speedbench.errors import ConfigError, SplitError
from tests.unit.curation.vectors import Array, clustered, split_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

IDS = [f"q{n}" for n in range(6)]


def vectors() -> Array:
    return clustered(1, 6, 4)


def write_parquet(file: Path, ids: list[Any], embeddings: Any, **options: Any) -> Path:
    pq.write_table(pa.table({"question_id": ids, "embedding": embeddings}), file, **options)
    return file


def lists(rows: Any, kind: Any = None) -> Any:
    return pa.array([None if row is None else list(row) for row in rows], type=kind or pa.list_(pa.float64()))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, kind: Any, order: Any) -> None:
    file = tmp_path / "vectors.npy"
    np.save(file, np.asarray(vectors(), dtype=kind, order=order))
    embeddings = open_embeddings(file, split_of(IDS))
    assert (embeddings.dimensions, embeddings.origin) == (4, str(file))
    read = embeddings.read([4, 1])
    assert isinstance(read, np.ndarray)
    assert read.dtype == np.float64
    assert read == pytest.approx(vectors()[[4, 1]], rel=1e-3)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.list_(pa.float32()),
        pa.list_(pa.float16()),
        pa.list_(pa.float32(), 4),
        pa.large_list(pa.float32()),
    ],
    ids=str,
)
def test_parquet_in_any_order_and_batches(tmp_path: Path, kind: Any) -> None:
    ids = [f"q{n}" for n in range(2500)]
    many = clustered(1, 2500, 4).astype(np.float16)
    order = np.random.default_rng(1).permutation(2500)
    file = write_parquet(tmp_path / "v.parquet", [ids[n] for n in order], lists(many[order], kind), row_group_size=700)
    read = open_embeddings(file, split_of(ids)).read(range(2500))
    assert isinstance(read, np.ndarray)
    assert read.tolist() == many.astype(np.float64).tolist()


def test_both_files_select_alike(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", vectors())
    write_parquet(tmp_path / "v.parquet", IDS, lists(vectors()))
    files = [open_embeddings(tmp_path / f"v.{suffix}", split_of(IDS)) for suffix in ("npy", "parquet")]
    one, other = (curate(split_of(IDS), file, 3).categories for file in files)
    assert one == other


def test_ids_that_are_numbers_are_compared_as_text(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "v.parquet", list(range(6)), lists(vectors()))
    assert open_embeddings(file, split_of([str(n) for n in range(6)])).dimensions == 4


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, vectors())
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(clustered(1, 5, 4)), r"holds 5 vectors for 6 candidates\. It needs one row for each"),
        (npy(np.ones(6)), r"shape \(6,\) and type float64, no embeddings"),
        (npy(np.ones((6, 4), dtype=np.int8)), "type int8, no embeddings"),
        (npy(np.ones((6, 0))), "vectors of no dimensions"),
        (npy(np.array([{}], dtype=object)), "cannot be read as embeddings"),
        (npy(vectors())[:-8], "cannot be read as embeddings"),
        (npy(vectors())[:40], "cannot be read as embeddings"),
        (npz(), "cannot be read as embeddings: it is an archive"),
        (b"", "cannot be read as embeddings"),
        (b"no array", "cannot be read as embeddings"),
    ],
)
def test_bad_npy(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "v.npy"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=message) as raised:
        open_embeddings(file, split_of(IDS))
    assert str(raised.value).startswith(f"{file} ")


@pytest.mark.parametrize(
    ("ids", "embeddings", "message"),
    [
        ([*IDS, "q9"], lists(clustered(1, 7, 4)), "row 7: question_id 'q9' is none of the candidates'"),
        ([*IDS, "q2"], lists(clustered(1, 7, 4)), "row 7: question_id 'q2' was used before"),
        (IDS[:4], lists(clustered(1, 4, 4)), "has no row for 2 of 6 candidates, the first of them 'q4'"),
        ([*IDS[:5], None], lists(vectors()), "row 6: question_id is empty"),
        (IDS, lists([*vectors()[:3], None, *vectors()[4:]]), "row 4: the embedding is empty"),
        (IDS, lists([[1.0] * 4, [1.0] * 3] * 3), "row 2: the embedding has 3 numbers, where others have 4"),
        (IDS, lists([[]] * 6), "row 1: the embedding is empty"),
        (IDS, lists([[1, 2]] * 6, pa.list_(pa.int32())), "holds list<.*int32>, no embeddings"),
        (IDS, ["1 2 3"] * 6, "holds string, no embeddings"),
        ([], lists([]), "has no row for 6 of 6"),
    ],
)
def test_bad_parquet_rows(tmp_path: Path, ids: list[Any], embeddings: Any, message: str) -> None:
    file = tmp_path / "v.parquet"
    write_parquet(file, pa.array(ids, type=pa.string()), embeddings)
    with pytest.raises((SplitError, ConfigError), match=message) as raised:
        open_embeddings(file, split_of(IDS))
    assert str(raised.value).startswith(str(file))


def test_a_null_inside_a_vector_is_refused_with_its_candidate(tmp_path: Path) -> None:
    rows = vectors().tolist()
    rows[2][1] = None
    file = write_parquet(tmp_path / "v.parquet", IDS, pa.array(rows))
    with pytest.raises(SplitError, match="candidate 3, 'q2', is not finite"):
        curate(split_of(IDS), open_embeddings(file, split_of(IDS)), 2)


def test_null_among_fixed_size_vectors_is_refused(tmp_path: Path) -> None:
    rows = [*vectors()[:5], None]
    file = write_parquet(tmp_path / "v.parquet", IDS, lists(rows, pa.list_(pa.float32(), 4)))
    with pytest.raises(SplitError, match="row 6: the embedding is empty"):
        open_embeddings(file, split_of(IDS))


def test_bad_parquet_files(tmp_path: Path) -> None:
    split = split_of(IDS)
    good = write_parquet(tmp_path / "good.parquet", IDS, lists(vectors()))
    for data in (b"", b"PAR1 no parquet", good.read_bytes()[:-20], good.read_bytes()[:60] + good.read_bytes()[90:]):
        file = tmp_path / "bad.parquet"
        file.write_bytes(data)
        with pytest.raises(ConfigError, match=r"bad\.parquet cannot be read as embeddings"):
            open_embeddings(file, split)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"question_id": IDS, "vector": lists(vectors())}), other)
    with pytest.raises(ConfigError, match="has no column 'embedding', but question_id, vector"):
        open_embeddings(other, split)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"v\.csv is neither \.npy nor \.parquet"):
        open_embeddings(tmp_path / "v.csv", split_of(IDS))
    with pytest.raises(ConfigError, match="There is no file"):
        open_embeddings(tmp_path / "v.npy", split_of(IDS))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ConfigError, match="There is no file"):
        open_embeddings(tmp_path / "folder.npy", split_of(IDS))


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_parquet(tmp_path / "v.parquet", IDS, lists(vectors()))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"cannot be read without pyarrow.*pytest-speedbench\[data\]"):
        open_embeddings(file, split_of(IDS))
