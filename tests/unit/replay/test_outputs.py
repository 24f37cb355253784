from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import MAGIC, Outputs, OutputsHead, StoredOutput, read_outputs, write_outputs

HEAD = OutputsHead(
    pair="p",
    target="t",
    target_sha256="1",
    tokenizer_sha256="2",
    chat_template_sha256="3",
    split="mini",
    split_sha256="4",
    max_output_tokens=64,
    ignore_eos=False,
    engine="transformers",
    engine_version="5",
    dtype="float32",
    vocab_size=100,
    context_tokens=2048,
    eos_token_ids=(3,),
    overhang=16,
    date="2026-11-23",
)


@st.composite
def rows(draw: st.DrawFn, vocab_size: int) -> StoredOutput:
    ids = st.lists(st.integers(0, vocab_size - 1), min_size=1, max_size=20).map(tuple)
    row = draw(st.builds(StoredOutput, ids, ids, ids, st.booleans()))

    def one_each(tokens: tuple[int, ...], least: float, most: float) -> tuple[float, ...] | None:
        values = st.lists(st.floats(least, most, width=32), min_size=len(tokens), max_size=len(tokens))
        return draw(st.none() | values.map(tuple))

    return msgspec.structs.replace(
        row,
        margins_nats=one_each(row.output_ids, -1, 99),
        seed=draw(st.none() | st.integers(0, 2**32 - 1)),
        log_probabilities_nats=one_each(row.continued, -99, 0),
    )


@pytest.mark.parametrize("vocab_size", [100, 65_536, 65_537, 200_000])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_is_read(tmp_path: Path, vocab_size: int, data: st.DataObject) -> None:
    head = msgspec.structs.replace(HEAD, vocab_size=vocab_size)
    outputs = Outputs(head, tuple(data.draw(st.lists(rows(vocab_size), max_size=4))))
    write_outputs(tmp_path / "a" / "mini.outputs", outputs)
    assert read_outputs(tmp_path / "a" / "mini.outputs") == outputs
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mini.outputs"]


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(OutputsError, match="There are no stored outputs") as caught:
        read_outputs(tmp_path / "x.outputs")
    assert "pytest … --speedbench-record-outputs" in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, len(MAGIC), len(MAGIC) + 10, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "mini.outputs"
    write_outputs(path, Outputs(HEAD, (StoredOutput((1,), (2,), (), stopped=True),)))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(OutputsError, match=r"truncated or damaged|no file of stored outputs"):
        read_outputs(path)


def forged(path: Path, rows: list[object], head: OutputsHead = HEAD) -> Path:
    body = zlib.compress(msgspec.msgpack.encode({"head": head, "rows": rows}))
    path.write_bytes(MAGIC + hashlib.sha256(body).digest() + body)
    return path


@pytest.mark.parametrize(
    "row",
    [
        [b"", b"\1\0", b"", True, None, None, None],
        [b"\1\0", b"", b"", True, None, None, None],
        [b"\1\0", b"\1", b"", True, None, None, None],
        [b"\1\0", b"\xff\xff", b"", True, None, None, None],
        [b"\1\0", b"\1\0", b"", True, b"\0" * 8, None, None],
        [b"\1\0", b"\1\0", b"", 7, None, None, None],
        [b"\1\0", b"\1\0", b"\1\0", True, None, 7, b"\0" * 4],
        [b"\1\0", b"\1\0", b"", True, None, 7, struct.pack("<f", 0.5)],
        [b"\1\0", b"\1\0", b"", True, None, 7, struct.pack("<f", float("nan"))],
        ["text"],
    ],
    ids=[
        "no prompt",
        "no output",
        "half an id",
        "outside the vocabulary",
        "too many margins",
        "a number",
        "too few log-probabilities",
        "more than certain",
        "no probability",
        "a text",
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path: Path, row: list[object]) -> None:
    with pytest.raises(OutputsError, match="are damaged"):
        read_outputs(forged(tmp_path / "mini.outputs", [row]))


def test_a_text_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    row = [b"\1\0" * 2048, b"\1\0", b"", True, None, None, None]
    with pytest.raises(OutputsError, match="more than the context's 2048 tokens"):
        read_outputs(forged(tmp_path / "mini.outputs", [row]))


def test_what_unpacks_to_far_more_than_it_is_is_not_unpacked(tmp_path: Path) -> None:
    row = [b"\1\0" * 2000, b"\1\0", b"", True, None, None, None]
    path = forged(tmp_path / "mini.outputs", [row] * 6000)
    assert path.stat().st_size < 100_000
    with pytest.raises(OutputsError, match="unpack to more than"):
        read_outputs(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mini.outputs")
    with pytest.raises(OutputsError, match="a pipe or a device"):
        read_outputs(tmp_path / "mini.outputs")


def test_a_row_that_can_be_is_read(tmp_path: Path) -> None:
    row = [b"\1\0", b"\2\0", b"\3\0", True, None, 7, struct.pack("<2f", -0.5, 0.0)]
    read = read_outputs(forged(tmp_path / "mini.outputs", [row])).rows
    assert read == (StoredOutput((1,), (2,), (3,), stopped=True, seed=7, log_probabilities_nats=(-0.5, 0.0)),)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mini.outputs"
    write_outputs(path, Outputs(HEAD, (StoredOutput((1,), (2,), (), stopped=True),)))
    path.write_bytes(path.read_bytes().replace(MAGIC, b"pytest-speedbench outputs 1\n", 1))
    with pytest.raises(OutputsError, match="are in the format of another version") as caught:
        read_outputs(path)
    assert "pytest … --speedbench-record-outputs" in str(caught.value)
