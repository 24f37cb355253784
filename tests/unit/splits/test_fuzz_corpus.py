"""Whatever a file holds, it gives prompts that can be asked or an error in words; what is right is read exactly."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from pytest_speedbench.splits.forms import COLUMNS
from pytest_speedbench.splits.reading import SUFFIXES, read_files
from pytest_speedbench.splits.speed_bench import PLACEHOLDER
from tests.fuzz.readable import read_any

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples of a test: each writes the same file."""
    return tmp_path_factory.mktemp("any")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_corpus(folder: Path, file: Path) -> None:
    read_any(file.read_bytes(), folder / f"any.{file.parent.name}")


def test_the_corpus_is_small() -> None:
    assert {file.parent.name for file in FILES} == {"jsonl", "json", "csv", "tsv", "parquet"}
    assert sum(file.stat().st_size for file in FILES) < 200_000


@given(suffix=st.sampled_from(SUFFIXES), data=st.binary(max_size=2000))
def test_any_bytes(folder: Path, suffix: str, data: bytes) -> None:
    read_any(data, folder / f"any{suffix}")


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file of which a few parts are cut out, overwritten or doubled."""
    file = draw(st.sampled_from(FILES))
    data = file.read_bytes()
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 64)))
        middle = draw(st.one_of(st.binary(max_size=8), st.just(data[begin:end] * 2), st.just(b"")))
        data = data[:begin] + middle + data[end:]
    return file.parent.name, data


@given(case=damaged())
def test_damaged_files(folder: Path, case: tuple[str, bytes]) -> None:
    suffix, data = case
    read_any(data, folder / f"any.{suffix}")


TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from([PLACEHOLDER, "user", "assistant", "system", "text", "overall"])
)
KEYS = st.sampled_from([*COLUMNS, "role", "content", "type", "text", "turn_1", "turn_2"])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@given(
    rows=st.lists(st.dictionaries(KEYS, JSON, max_size=6), min_size=1, max_size=4),
    suffix=st.sampled_from([".jsonl", ".json"]),
)
def test_json_of_any_shape(folder: Path, rows: list[Any], suffix: str) -> None:
    text = json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows))
    read_any(text.encode(), folder / f"any{suffix}")


TYPES = st.recursive(
    st.sampled_from(
        [
            *(arrow.string(), arrow.large_string(), arrow.string_view(), arrow.binary(), arrow.null(), arrow.bool_()),
            *(arrow.int8(), arrow.uint64(), arrow.float64(), arrow.date32(), arrow.duration("ns")),
            *(arrow.decimal128(5, 2), arrow.time64("us"), arrow.dictionary(arrow.int8(), arrow.string())),
        ]
    ),
    lambda inner: st.one_of(
        inner.map(arrow.list_),
        inner.map(arrow.large_list),
        inner.map(lambda kind: arrow.list_(kind, 2)),
        st.dictionaries(KEYS, inner, min_size=1, max_size=3).map(lambda fields: arrow.struct(list(fields.items()))),
        inner.map(lambda kind: arrow.map_(arrow.string(), kind)),
    ),
    max_leaves=4,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values that arrow takes for a type; few enough that most tables can be built."""
    types = arrow.types
    if types.is_list(kind) or types.is_large_list(kind):
        return st.lists(values_of(kind.value_type), max_size=3)
    if types.is_fixed_size_list(kind):
        return st.lists(values_of(kind.value_type), min_size=2, max_size=2)
    if types.is_struct(kind):
        return st.fixed_dictionaries({field.name: values_of(field.type) for field in kind})
    if types.is_map(kind):
        return st.lists(st.tuples(st.text(max_size=3), values_of(kind.item_type)), max_size=2)
    if types.is_dictionary(kind) or "string" in str(kind):
        return st.one_of(st.none(), TEXTS.filter(lambda text: "\ud800" not in text))
    return number_of(kind)


def number_of(kind: Any) -> st.SearchStrategy[Any]:
    """Numbers and truth values; nothing for other types, of which the type alone is refused."""
    types = arrow.types
    if types.is_floating(kind):
        return st.one_of(st.none(), st.sampled_from([0.0, 1.5, float("nan"), float("inf")]))
    if types.is_boolean(kind):
        return st.booleans()
    return st.one_of(st.none(), st.integers(0, 100)) if types.is_integer(kind) else st.none()


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """Tables with our columns' names and any types."""
    rows = draw(st.integers(0, 4))
    columns = draw(
        st.dictionaries(KEYS, st.one_of(TYPES, st.just(arrow.list_(arrow.string()))), min_size=1, max_size=4)
    )
    arrays = [arrow.array([draw(values_of(kind)) for _ in range(rows)], kind) for kind in columns.values()]
    return arrow.table(arrays, names=list(columns))


@given(table=tables(), group=st.integers(1, 4), compression=st.sampled_from(["none", "zstd"]))
def test_parquet_of_any_types(folder: Path, table: Any, group: int, compression: str) -> None:
    sink = arrow.BufferOutputStream()
    try:
        parquet.write_table(table, sink, row_group_size=group, compression=compression)
    except arrow.ArrowNotImplementedError:
        return  # a type that parquet does not have
    read_any(sink.getvalue().to_pybytes(), folder / "any.parquet")


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=10).filter("overall".__ne__)
ROWS = st.lists(
    st.fixed_dictionaries({"question_id": NAMES, "category": NAMES, "turns": st.lists(WORDS, min_size=1, max_size=3)}),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row["question_id"],
)


@given(rows=ROWS)
def test_all_formats_read_any_text_exactly(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "1.jsonl").write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    (folder / "2.json").write_text(json.dumps(rows))
    with (folder / "3.csv").open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["question_id", "category", "turn_1", "turn_2", "turn_3"])
        table.writerows([row["question_id"], row["category"], *row["turns"], "", ""][:5] for row in rows)
    parquet.write_table(arrow.Table.from_pylist(rows), folder / "4.parquet")
    expected = [(row["question_id"], row["category"], tuple(row["turns"])) for row in rows]
    for name in ("1.jsonl", "2.json", "3.csv", "4.parquet"):
        prompts = read_files([folder / name]).prompts
        assert [(prompt.question_id, prompt.category, prompt.turns) for prompt in prompts] == expected
