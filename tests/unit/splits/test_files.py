from __future__ import annotations

import csv
import gc
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.reading import SUFFIXES, files_of, read_files
from pytest_speedbench.splits.schema import Prompt

ROWS: list[dict[str, Any]] = [
    {
        "question_id": "a",
        "category": "math",
        "sub_category": "sums",
        "turns": ["1 + 1?", "é, 漢字 😀"],
        "source": "own",
    },
    {"question_id": "b", "category": "qa", "sub_category": "", "turns": ['line\nbreak, "quotes"\t'], "source": "own"},
]
PROMPTS = (
    Prompt("a", "math", "sums", ("1 + 1?", "é, 漢字 😀"), "own"),
    Prompt("b", "qa", "", ('line\nbreak, "quotes"\t',), "own"),
)


def write_lines(file: Path) -> None:
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n", encoding="utf-8")


def write_list(file: Path) -> None:
    file.write_text(json.dumps(ROWS, indent=2), encoding="utf-8")


def write_table(file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, delimiter="\t" if file.suffix == ".tsv" else ",")
        table.writerow(ROWS[0])
        table.writerows([json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in ROWS)


def write_parquet(file: Path) -> None:
    parquet.write_table(arrow.Table.from_pylist(ROWS), file)


WRITERS: dict[str, Callable[[Path], None]] = {
    "own.jsonl": write_lines,
    "own.ndjson": write_lines,
    "lines.json": write_lines,
    "list.json": write_list,
    "own.csv": write_table,
    "own.tsv": write_table,
    "own.PARQUET": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_prompts(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    WRITERS[name](file)
    assert file.suffix.lower() in SUFFIXES
    assert read_files([file]).prompts == PROMPTS


@pytest.mark.parametrize("name", ["own.jsonl", "lines.json", "list.json", "own.csv", "own.tsv"])
def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    WRITERS[name](file)
    # Only line ends of the file: the one inside a cell belongs to the prompt.
    file.write_bytes(
        b"\xef\xbb\xbf" + (file.read_bytes().replace(b"\n", b"\r\n") if "csv" not in name else file.read_bytes())
    )
    assert read_files([file]).prompts == PROMPTS


def test_several_files_are_one_split(tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.parquet"
    first.write_text(json.dumps(ROWS[0]))
    parquet.write_table(arrow.Table.from_pylist(ROWS[1:]), second)
    assert read_files([first, second]).prompts == PROMPTS
    second.unlink()
    second = tmp_path / "2.jsonl"
    second.write_text(json.dumps(ROWS[0]))
    with pytest.raises(SplitError, match=r"2\.jsonl, line 1: question_id 'a' was used in .*1\.jsonl, line 1\."):
        read_files([first, second])


def test_a_single_file_can_have_a_name(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text("[]")
    with pytest.raises(SplitError, match=r"^the bundled split 'x', line 1: "):
        read_files([file], name="the bundled split 'x'")


@pytest.mark.parametrize("text_type", [arrow.string(), arrow.large_string()])
@pytest.mark.parametrize("list_type", [arrow.list_, arrow.large_list])
def test_parquets_kinds_of_text(tmp_path: Path, text_type: Any, list_type: Callable[[Any], Any]) -> None:
    table = arrow.table(
        {
            "question_id": arrow.array([81.0, 82.0]),
            "category": arrow.array(["math", "qa"]).dictionary_encode(),
            "turns": arrow.array([["x"], ["y", "z"]], list_type(text_type)),
            "difficulty": arrow.array([float("nan"), 2.0]),
            "when": arrow.array([0, 1], arrow.timestamp("ns")),
        }
    )
    parquet.write_table(table, tmp_path / "own.parquet")
    prompts = read_files([tmp_path / "own.parquet"]).prompts
    assert prompts == (Prompt("81", "math", "", ("x",)), Prompt("82", "qa", "", ("y", "z"), difficulty="2"))


def test_conversations_in_parquet(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}]}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "own.parquet")
    prompt = read_files([tmp_path / "own.parquet"]).prompts[0]
    assert (prompt.system, prompt.turns) == ("s", ("x",))


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_many_row_groups(tmp_path: Path, compression: str) -> None:
    table = arrow.table({"prompt": [f"prompt {number}" for number in range(1000)]})
    parquet.write_table(table, tmp_path / "own.parquet", row_group_size=7, compression=compression)
    turns = [prompt.turns for prompt in read_files([tmp_path / "own.parquet"]).prompts]
    assert turns == [(f"prompt {number}",) for number in range(1000)]


def test_columns_of_other_names_in_tables(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(',topic,ask\n0,qa,"[1, 2]: sum?"\n1,qa,"[""x"", ""y""]"\n')
    prompts = read_files([tmp_path / "own.csv"], columns={"turns": "ask", "category": "topic"}).prompts
    assert [(p.category, p.turns) for p in prompts] == [("qa", ("[1, 2]: sum?",)), ("qa", ("x", "y"))]


def test_conversations_in_csv(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text('messages\n"[{""role"": ""user"", ""content"": ""x""}]"\n')
    assert read_files([tmp_path / "own.csv"]).prompts[0].turns == ("x",)


def test_the_csv_modules_limit_is_left_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "own.csv").write_text(f"prompt\n{'x' * (before + 1)}\n")
    assert len(read_files([tmp_path / "own.csv"]).prompts[0].turns[0]) == before + 1
    assert csv.field_size_limit() == before


def test_a_file_means_itself(tmp_path: Path) -> None:
    assert files_of(tmp_path / "missing.csv") == (tmp_path / "missing.csv",)


def test_a_folder_means_its_files(tmp_path: Path) -> None:
    wanted = [tmp_path / "a.parquet", tmp_path / "sub" / "b.parquet"]
    others = [
        tmp_path / ".hidden.jsonl",
        tmp_path / ".git" / "c.parquet",
        tmp_path / "README.md",
        tmp_path / "info.json",
    ]
    for file in wanted + others:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert files_of(tmp_path) == tuple(wanted)


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.jsonl").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(data)
    (data / "back").symlink_to(folder)
    assert files_of(folder) == (folder / "link" / "a.jsonl",)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "own.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SplitError, match=r'pip install "pytest-speedbench\[data\]"'):
        read_files([tmp_path / "own.parquet"])


@pytest.mark.parametrize("name", ["own.jsonl", "own.csv", "own.parquet"])
def test_memory_is_that_of_the_text(tmp_path: Path, name: str) -> None:
    """Rows are read one after the other: what is held besides the prompts is a few of them."""
    texts = [os.urandom(32_768).hex() for _ in range(320)]
    file = tmp_path / name
    if file.suffix == ".parquet":
        parquet.write_table(arrow.table({"prompt": texts}), file, row_group_size=32)
    elif file.suffix == ".csv":
        file.write_text("prompt\n" + "\n".join(texts))
    else:
        file.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    del texts
    gc.collect()
    arrow_before = arrow.total_allocated_bytes()
    tracemalloc.start()
    try:
        reading = read_files([file])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = sum(len(prompt.turns[0]) for prompt in reading.prompts)
    assert text == 320 * 65_536
    assert peak < 1.4 * text
    assert arrow.total_allocated_bytes() - arrow_before < 2**20


def test_a_column_of_images_is_refused_in_every_format(tmp_path: Path) -> None:
    entry = {"question_id": "a", "category": "c", "turns": ["What is it?"]}
    pictures = {
        "bytes.parquet": b"\x89PNG",
        "record.parquet": {"bytes": b"\x89PNG", "path": None},
        "path.parquet": "a.png",
    }
    for name, picture in pictures.items():
        parquet.write_table(arrow.Table.from_pylist([{**entry, "image": picture}]), tmp_path / name)
        with pytest.raises(SplitError, match=f"{name}.*: image has a value, and images"):
            read_files([tmp_path / name])
    parquet.write_table(arrow.Table.from_pylist([{**entry, "image": None}]), tmp_path / "none.parquet")
    assert read_files([tmp_path / "none.parquet"]).notes == ()
    (tmp_path / "own.csv").write_text("question_id,category,prompt,image\na,c,x,\nb,c,y,b.png\n")
    with pytest.raises(SplitError, match=r"own.csv, line 3: image has a value, and images"):
        read_files([tmp_path / "own.csv"])


def test_sharegpts_rows_in_every_format(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "x"}, {"from": "gpt", "value": "no"}, {"from": "human", "value": "y"}]
    parquet.write_table(arrow.Table.from_pylist([{"conversations": said}]), tmp_path / "own.parquet")
    (tmp_path / "own.csv").write_text('conversations\n"' + json.dumps(said).replace('"', '""') + '"\n')
    (tmp_path / "own.json").write_text(json.dumps([{"conversations": said}]))
    for name in ("own.parquet", "own.csv", "own.json"):
        assert read_files([tmp_path / name]).prompts[0].turns == ("x", "y"), name
