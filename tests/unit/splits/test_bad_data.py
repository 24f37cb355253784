"""Data that cannot be used: each kind has an error that names the file and the row, and none a traceback."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import rows as limits
from pytest_speedbench.splits.files import jsonl, lines
from pytest_speedbench.splits.files import parquet as parquet_files
from pytest_speedbench.splits.reading import files_of, read_files

GOOD = '{"question_id": "a", "category": "qa", "turns": ["x"]}'


def row(**changes: Any) -> str:
    return json.dumps({"question_id": "b", "category": "qa", "turns": ["x"], **changes})


def without(column: str) -> str:
    return json.dumps({name: value for name, value in json.loads(row()).items() if name != column})


def refused(file: Path) -> str:
    with pytest.raises(SplitError) as caught:
        read_files([file])
    assert str(file) in caught.value.problem
    assert caught.value.remedy
    return str(caught.value)


BAD_LINES = {
    "truncated": ('{"question_id": "b", "categ', "line 2 is no JSON: Input data was truncated"),
    "trailing garbage": (row() + "}", "line 2 is no JSON: JSON is malformed: trailing characters"),
    "two objects": (row() + row(), "line 2 is no JSON: JSON is malformed: trailing characters"),
    "an array": ("[1]", "line 2: Expected `object`, got `array`"),
    "null": ("null", "line 2: Expected `object`, got `null`"),
    "no object": ("hello", "line 2 is no JSON"),
    "single quotes": ("{'question_id': 'b'}", "line 2 is no JSON"),
    "NaN": (row(src_id=float("nan")), "line 2 is no JSON"),
    "half a surrogate pair": (row(turns=["\ud800"]), "Does it have half of a surrogate pair"),
    "the other half": (row(turns=["\udc00 x"]), "Does it have half of a surrogate pair"),
    "a raw control character": (row(turns=["a\tb"]).replace("\\t", "\t"), "line 2 is no JSON"),
    "nested deeply": (f'{{"question_id": {"[" * 200_000}', "line 2 is nested too deeply"),
    "nested deeply in a used column": (
        row(turns=[]).replace("[]", "[" * 300 + "]" * 300),
        "got `array` - at `turns[0]`",
    ),
    "a key twice": (row()[:-1] + ', "turns": ["y"]}', "line 2: the key 'turns' is there twice"),
    "an unused key twice": ('{"x": 1, "x": 2, ' + row()[1:], "line 2: the key 'x' is there twice"),
    "a long key twice": (f'{{"{"x" * 5000}": 1, "{"x" * 5000}": 2}}', f"the key '{'x' * 80}' is there twice"),
    "an empty object": ("{}", "line 2: no column has the prompt. It has no columns."),
    "no id": (without("question_id"), "line 2 has turns without question_id and with category"),
    "no category": (without("category"), "line 2 has turns with question_id and without category"),
    "no turns": (without("turns"), "line 2: no column has the prompt. It has: question_id, category."),
    "an id that is null": (
        row(question_id=None),
        "line 2: Expected `int | float | str`, got `null` - at `question_id`",
    ),
    "an id that is a truth value": (row(question_id=True), "got `bool` - at `question_id`"),
    "an id that is a list": (row(question_id=["b"]), "got `array` - at `question_id`"),
    "a huge number": (row().replace('"b"', "1" * 5000), "out of range"),
    "an infinite number": (row().replace('"b"', "1e999"), "out of range"),
    "an empty id": (row(question_id=""), "line 2: question_id is empty"),
    "a blank id": (row(question_id=" "), "line 2: question_id is empty"),
    "an id with blanks": (row(question_id=" b"), "line 2: question_id ' b' has blanks around it"),
    "an id of two lines": (row(question_id="b\nc"), "line 2: question_id 'b\\nc' has control characters"),
    "an id used before": (row(question_id="a"), "line 2: question_id 'a' was used in line 1"),
    "a long id": (row(question_id="b" * 1000), "line 2: question_id has 1,000 characters"),
    "a category that is null": (row(category=None), "Expected `str`, got `null` - at `category`"),
    "a category that is a number": (row(category=1), "Expected `str`, got `int` - at `category`"),
    "an empty category": (row(category=""), "line 2: category is empty"),
    "a category with an escape": (row(category="\x1b[31mqa"), "line 2: category '\\x1b[31mqa' has control characters"),
    "a category with a blank": (row(category="qa "), "line 2: category 'qa ' has blanks around it"),
    "the reserved category": (row(category="overall"), "line 2: a category cannot be called 'overall'"),
    "a sub_category that is a list": (row(sub_category=["x"]), "got `array` - at `sub_category`"),
    "a sub_category of two lines": (row(sub_category="a\u2028b"), "sub_category 'a\\u2028b' has control characters"),
    "a system message that is a number": (row(system=1), "got `int` - at `system`"),
    "turns that are null": (row(turns=None), "Expected `array`, got `null` - at `turns`"),
    "turns that are a text": (row(turns="hello"), "Expected `array`, got `str` - at `turns`"),
    "turns that are records": (row(turns=[{"content": "x"}]), "Expected `str`, got `object` - at `turns[0]`"),
    "no turn at all": (row(turns=[]), "line 2: the row has no turns"),
    "a turn that is null": (row(turns=["x", None]), "Expected `str`, got `null` - at `turns[1]`"),
    "a turn that is a number": (row(turns=[1]), "Expected `str`, got `int` - at `turns[0]`"),
    "an empty turn": (row(turns=["x", ""]), "line 2: the row has an empty turn (number 2)"),
    "a blank turn": (row(turns=[" \n\u3000"]), "line 2: the row has an empty turn (number 1)"),
    "a NUL character": (row(turns=["a\0b"]), "line 2: the text has a NUL character"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_lines(tmp_path: Path, kind: str) -> None:
    line, message = BAD_LINES[kind]
    file = tmp_path / "own.jsonl"
    file.write_bytes(f"{GOOD}\n{line}".encode("utf-8", "surrogatepass"))
    assert message in refused(file)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("own.jsonl", b"", "is empty"),
    "blank": ("own.jsonl", b"\n \n\r\n", "is empty"),
    "an empty list": ("own.json", b"[]", "is empty"),
    "only a header": ("own.csv", b"prompt\n", "is empty"),
    "an empty parquet": ("own.parquet", b"", "is empty"),
    "Latin-1": ("own.jsonl", GOOD.replace("x", "é").encode("latin-1"), "line 1: turns cannot be read: 'utf-8' codec"),
    "UTF-16": ("own.jsonl", GOOD.encode("utf-16"), "is UTF-16"),
    "UTF-16 table": ("own.csv", b"\xfe\xff" + "prompt\nx\n".encode("utf-16-be"), "is UTF-16"),
    "a pointer of Git LFS": (
        "own.parquet",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "is a pointer of Git LFS, not the data. Run git lfs pull.",
    ),
    "a login page": ("own.parquet", b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page, not the data"),
    "an error page": ("own.jsonl", b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page, not the data"),
    "gzip": ("own.jsonl", gzip.compress(GOOD.encode()), "is compressed by gzip"),
    "a zip archive": ("own.json", b"PK\x03\x04" + bytes(100), "is a zip archive"),
    "no parquet": ("own.parquet", GOOD.encode(), "is no parquet file"),
    "parquet by another name": ("own.jsonl", b"PAR1" + bytes(50), "is a parquet file"),
    "an image": ("own.jsonl", PNG, "line 1 is no JSON"),
    "an unknown ending": ("own.xlsx", b"x", "files .xlsx are not read"),
    "a half parquet": ("own.parquet", b"PAR1" + bytes(100), "is cut off"),
    "a tiny parquet": ("own.parquet", b"PAR1", "is damaged"),
    "a parquet without a footer": ("own.parquet", b"PAR1" + bytes(100) + b"PAR1", "is damaged"),
    "a list of no objects": ("own.json", b"[1]", "row 1: Expected `object`, got `int`"),
    "a list that is cut off": ("own.json", f"[{GOOD},".encode(), "is no JSON: Input data was truncated"),
    "a list nested deeply": ("own.json", b"[" * 200_000, "is nested too deeply"),
    "an object around the rows": ("own.json", b'{"rows": [\n{}]}', "line 1 is no JSON"),
    "semicolons": ("own.csv", b"category;prompt\nqa;x\n", "separated by semicolons, not by commas"),
    "tabs in .csv": ("own.csv", b"category\tprompt\nqa\tx\n", "separated by tabs, not by commas"),
    "commas in .tsv": ("own.tsv", b"category,prompt\nqa,x\n", "separated by commas, not by tabs"),
    "a missing header": ("own.csv", b"qa,x\n", "no column has the prompt. It has: qa, x."),
    "a column twice": ("own.csv", b"prompt,prompt\nx,y\n", "line 1: the column 'prompt' is there twice"),
    "a cell too many": ("own.csv", b"prompt\nx\nhello, you\n", "line 3 has 2 cells; the header has 1"),
    "a cell too few": ("own.csv", b"category,prompt\nqa\n", "line 2 has 1 cells; the header has 2"),
    "an open quotation mark": ("own.csv", b'prompt\nx\n"y\nz\n', "line 3: unexpected end of data"),
    "text after a quotation mark": ("own.csv", b'prompt\n"x"y\n', "line 2: ',' expected after '\"'"),
    "line ends of old Macs": ("own.csv", b"prompt\rx\ry\r", "line 1: new-line character seen in unquoted field"),
    "Latin-1 in a table": ("own.csv", b"prompt\nx\ncaf\xe9\n", "line 3 is not UTF-8: "),
    "a NUL character in a table": ("own.csv", b"prompt\na\0b\n", "line 2"),
    "a table's row without text": ("own.csv", b"category,prompt\nqa,\n", "line 2: the row has an empty turn"),
    "a Python list": (
        "own.csv",
        b"category,turns\nqa,\"['x', 'y']\"\n",
        "line 2: turns cannot be read: JSON is malformed",
    ),
    "turns that are no list": ("own.csv", b"category,turns\nqa,hello\n", "line 2: turns cannot be read"),
    "numbers in a list": (
        "own.csv",
        b'category,turns\nqa,"[1]"\n',
        "line 2: Expected `str`, got `int` - at `turns[0]`",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files(tmp_path: Path, kind: str) -> None:
    name, data, message = BAD_FILES[kind]
    file = tmp_path / name
    file.write_bytes(data)
    assert message in refused(file)


def table(**changes: Any) -> Any:
    columns = {"question_id": ["a", "b"], "category": ["qa", "qa"], "turns": [["x"], ["y"]], **changes}
    return arrow.table({name: values for name, values in columns.items() if values is not None})


BAD_TABLES = {
    "no text": (table(turns=None), "no column has the prompt. It has: question_id, category."),
    "turns that are text": (table(turns=["x", "y"]), "row 1: Expected `array`, got `str` - at `turns`"),
    "turns that are numbers": (table(turns=[[1], [2]]), "row 1: Expected `str`, got `int` - at `turns[0]`"),
    "turns that are null": (table(turns=[["x"], None]), "row 2: Expected `array`, got `null` - at `turns`"),
    "a turn that is null": (table(turns=[["x"], ["y", None]]), "row 2: Expected `str`, got `null` - at `turns[1]`"),
    "records": (table(turns=[[{"a": "x"}], []]), "row 1: Expected `str`, got `object` - at `turns[0]`"),
    "bytes": (table(turns=[[b"x"], [b"y"]]), "the column turns has the type list<"),
    "times": (
        table(category=arrow.array([0, 1], arrow.timestamp("ns"))),
        "the column category has the type timestamp[ns]",
    ),
    "ids that are null": (table(question_id=arrow.nulls(2)), "row 1: Expected `int | float | str`, got `null`"),
    "ids that are NaN": (table(question_id=[1.0, float("nan")]), "row 2: question_id is empty"),
    "an id twice": (table(question_id=["a", "a"]), "row 2: question_id 'a' was used in row 1"),
    "no rows": (table().slice(0, 0), "is empty"),
    "a column twice": (
        arrow.Table.from_arrays([arrow.array(["x"]), arrow.array(["y"])], ["prompt", "prompt"]),
        "the column 'prompt' is there twice",
    ),
    "bytes called text": (
        table(
            turns=arrow.Array.from_buffers(
                arrow.list_(arrow.string()),
                2,
                [None, arrow.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0")],
                children=[arrow.array([b"x", b"\xff"], arrow.binary()).view(arrow.string())],
            )
        ),
        "row 2: the column turns is not UTF-8",
    ),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_parquet_tables(tmp_path: Path, kind: str) -> None:
    data, message = BAD_TABLES[kind]
    parquet.write_table(data, tmp_path / "own.parquet")
    assert message in refused(tmp_path / "own.parquet")


def test_parquet_cut_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "own.parquet"
    parquet.write_table(table(), file)
    whole = file.read_bytes()
    for length in range(0, len(whole), 17):
        file.write_bytes(whole[:length])
        refused(file)


def test_parquet_damaged_inside(tmp_path: Path) -> None:
    file = tmp_path / "own.parquet"
    parquet.write_table(table(), file, compression="zstd")
    whole = bytearray(file.read_bytes())
    whole[4:120] = bytes(116)
    file.write_bytes(whole)
    assert "is damaged: " in refused(file)


def test_files_of_different_columns(tmp_path: Path) -> None:
    first, second = tmp_path / "1.parquet", tmp_path / "2.parquet"
    parquet.write_table(table(), first)
    parquet.write_table(table(turns=None, prompt=["x", "y"]), second)
    with pytest.raises(SplitError, match=r"2\.parquet has prompt .*1\.parquet has turns .*same columns"):
        read_files([first, second])


def test_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(row(question_id=str(number)) for number in range(4)))
    monkeypatch.setattr(limits, "MAX_ROWS", 3)
    monkeypatch.setattr(parquet_files, "MAX_ROWS", 3)
    assert "has more than 3 rows" in refused(file)
    parquet.write_table(arrow.table({"prompt": ["x"] * 4}), tmp_path / "own.parquet")
    assert "has more than 3 rows" in refused(tmp_path / "own.parquet")


def test_gigantic_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 2**20)
    monkeypatch.setattr(lines, "MAX_ROW_BYTES", 2**20)
    text = "x" * 2**20
    parquet.write_table(arrow.table({"prompt": ["y", text]}), tmp_path / "own.parquet")
    assert "row 2: the row has 1 MiB of text" in refused(tmp_path / "own.parquet")
    (tmp_path / "own.jsonl").write_text(GOOD + "\n" + row(turns=[text]))
    assert "line 2 is longer than 1 MiB" in refused(tmp_path / "own.jsonl")
    (tmp_path / "own.csv").write_text(f"prompt\n{text}\n")
    assert "line 2 is longer than 1 MiB" in refused(tmp_path / "own.csv")


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    with file.open("wb") as handle:
        handle.truncate(2**40)
    tracemalloc.start()
    try:
        assert "line 1 is longer than 64 MiB" in refused(file)
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()


def test_an_open_quotation_mark_does_not_swallow_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    with file.open("wb") as handle:
        handle.write(b'prompt\n"x\n')
        handle.writelines(b"y" * 2**20 + b"\n" for _ in range(80))
    assert "line 2: the row that begins here has more than 64 MiB. Is a quotation mark missing" in refused(file)


def test_more_text_than_anybody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TEXT_BYTES", 2**20)
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(row(question_id=str(number), turns=["x" * 2**16]) for number in range(20)))
    assert "line 16: the rows up to here have more than" in refused(file)


def test_a_long_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LIST_BYTES", 100)
    (tmp_path / "own.json").write_text(f"[{GOOD}, {GOOD}]")
    assert "is a JSON list of more than" in refused(tmp_path / "own.json")


def test_a_parquet_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is repeated text, so that 512 MiB take a few hundred kB; nothing of it is unpacked."""
    file = tmp_path / "own.parquet"
    schema = arrow.schema([("prompt", arrow.string())])
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
        batch = arrow.record_batch([["x" * (2**20 - 1) + str(number) for number in range(64)]], schema=schema)
        for _ in range(8):
            writer.write_batch(batch)
    assert file.stat().st_size < 2**20
    monkeypatch.setattr(parquet_files, "MAX_UNPACKED_BYTES", 2**28)
    before = arrow.default_memory_pool().max_memory()
    assert "unpacks to 1 GiB; at most 0 are read" in refused(file)
    assert arrow.default_memory_pool().max_memory() == before


def test_a_parquet_that_repeats_a_text_endlessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary holds the text once, so that its size says nothing of what comes out."""
    file = tmp_path / "own.parquet"
    text = arrow.DictionaryArray.from_arrays(arrow.array([0] * 100_000, arrow.int32()), arrow.array(["x" * 2**19]))
    ids = arrow.array([str(number) for number in range(100_000)])
    parquet.write_table(arrow.table({"question_id": ids, "text": text}), file, compression="zstd")
    assert file.stat().st_size < 2**21
    monkeypatch.setattr(limits, "MAX_TEXT_BYTES", 2**28)
    tracemalloc.start()
    try:
        assert "the rows up to here have more than" in refused(file)
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()


def test_a_parquet_with_a_row_of_a_terabyte(tmp_path: Path) -> None:
    file = tmp_path / "own.parquet"
    text = arrow.DictionaryArray.from_arrays(arrow.array([0] * 10**6, arrow.int32()), arrow.array(["x" * 2**20]))
    turns = arrow.ListArray.from_arrays(arrow.array([0, 10**6], arrow.int32()), text)
    parquet.write_table(arrow.table({"turns": turns}), file, compression="zstd")
    assert file.stat().st_size < 2**10
    assert "the column turns has the type list<element: dictionary<" in refused(file)


def loop(folder: Path) -> Path:
    file = folder / "own.jsonl"
    file.symlink_to(folder / "other.jsonl")
    (folder / "other.jsonl").symlink_to(file)
    return file


def dangling(folder: Path) -> Path:
    file = folder / "own.jsonl"
    file.symlink_to(folder / "gone.jsonl")
    return file


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "own.jsonl")
    return folder / "own.jsonl"


def device(folder: Path) -> Path:
    file = folder / "own.jsonl"
    file.symlink_to("/dev/zero")
    return file


def folder_named_like_a_file(folder: Path) -> Path:
    (folder / "own.jsonl").mkdir()
    return folder / "own.jsonl"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "own.jsonl", "No such file or directory"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (dangling, "gone.jsonl: does that exist?"),
        (pipe, "is no regular file"),
        (device, "is no regular file"),
        (folder_named_like_a_file, "is no regular file"),
    ],
)
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    assert message in refused(make(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.touch(mode=0)
    assert "cannot be read: Permission denied" in refused(file)


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(GOOD)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    assert "cannot be read: Permission denied. Check that it exists, and its permissions." in refused(file)


@pytest.mark.parametrize("name", ["own.jsonl", "own.csv", "own.parquet"])
def test_a_file_that_is_written_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file = tmp_path / name
    if name == "own.parquet":
        parquet.write_table(table(), file)
    else:
        file.write_text(GOOD if name == "own.jsonl" else "prompt\nx\n")
    add = limits.Rows.add

    def add_and_cut(self: limits.Rows, *arguments: Any) -> None:
        add(self, *arguments)
        os.truncate(file, 7)

    monkeypatch.setattr(limits.Rows, "add", add_and_cut)
    assert "was changed while it was read" in refused(file)


def test_folders_of_several_formats_and_of_none(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="is a folder without a split"):
        files_of(tmp_path)
    for name in ("a.jsonl", "b.parquet", "c.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(SplitError, match="several formats: 1 JSONL and 2 parquet"):
        files_of(tmp_path)


def test_a_zip_archive_by_another_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.csv", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.csv", "prompt\n" + "x" * 2**24)
    assert "is a zip archive or a spreadsheet. Unpack it" in refused(tmp_path / "own.csv")


def test_a_great_many_columns(tmp_path: Path) -> None:
    """Time grows with their number, not with its square: these take a second, and else would take hours."""
    names = [f"c{number}" for number in range(200_000)]
    (tmp_path / "own.csv").write_text(",".join([*names, "c0"]))
    assert "the column 'c0' is there twice" in refused(tmp_path / "own.csv")
    (tmp_path / "own.jsonl").write_text("{" + ",".join(f'"{name}":0' for name in [*names, "c199999"]) + "}")
    assert "the key 'c199999' is there twice" in refused(tmp_path / "own.jsonl")
    (tmp_path / "own.jsonl").write_text("{" + ",".join(f'"{name}":0' for name in names) + "}")
    assert "c19 and 199980 more" in refused(tmp_path / "own.jsonl")
    with pytest.raises(SplitError, match="there is no column 'c_3'"):
        read_files([tmp_path / "own.jsonl"], columns={"turns": "c_3"})


def test_unused_columns_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    with file.open("w") as handle:
        handle.writelines(row(question_id=str(number), **{f"{number:0100000}": 0}) + "\n" for number in range(300))
    tracemalloc.start()
    try:
        read_files([file])
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()
