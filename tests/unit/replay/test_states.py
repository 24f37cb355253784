"""The format of recorded states: what is written is read, and everything else is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput
from pytest_speedbench.states import INDEX, StatesDtype, StatesHead, StatesWriter, layer_name, open_states

HEAD = StatesHead(
    target="t",
    target_sha256="1",
    layer_ids=(1, 3),
    final=True,
    dtype="bfloat16",
    computed_dtype="float32",
    hidden_size=4,
)
ROWS = [
    StoredOutput((1, 2, 3), (4, 5), (), stopped=True),
    StoredOutput((1, 2), (3,), (4,), stopped=False),
    StoredOutput((7,), (8, 9, 10, 11), (), stopped=True),
]


def states_of(head: StatesHead, row: StoredOutput) -> dict[str, Tensor]:
    tokens = len(row.prompt_ids) + len(row.output_ids)
    random = torch.Generator().manual_seed(tokens)
    return {name: torch.randn(tokens, head.hidden_size, generator=random) for name in head.names}


def write(folder: Path, rows: list[StoredOutput], head: StatesHead = HEAD, shard_bytes: int = 150) -> None:
    with StatesWriter(folder, head, shard_bytes) as writer:
        for row in rows:
            writer.add([row], states_of(head, row))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "mini.states", ROWS)
    return tmp_path / "mini.states"


ids = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9).map(tuple)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.tuples(ids, ids), max_size=6, unique_by=lambda text: text[0] + text[1]),
    layer_ids=st.lists(st.integers(0, 80), max_size=3, unique=True).map(sorted).map(tuple),
    final=st.booleans(),
    dtype=st.sampled_from(["bfloat16", "float32"]),
    hidden_size=st.integers(1, 5),
    shard_bytes=st.integers(1, 400),
)
def test_what_is_written_is_read(
    tmp_path: Path,
    texts: list[tuple[tuple[int, ...], tuple[int, ...]]],
    layer_ids: tuple[int, ...],
    final: bool,
    dtype: StatesDtype,
    hidden_size: int,
    shard_bytes: int,
) -> None:
    head = msgspec.structs.replace(
        HEAD, layer_ids=layer_ids, final=final or not layer_ids, dtype=dtype, hidden_size=hidden_size
    )
    rows = [StoredOutput(prompt, output, (), stopped=True) for prompt, output in texts]
    write(tmp_path / "a" / "mini.states", rows, head, shard_bytes)
    read = open_states(tmp_path / "a" / "mini.states", record_command="record")
    assert read.head == head
    assert read.tokens == sum(len(prompt) + len(output) for prompt, output in texts)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mini.states"]
    for row in reversed(rows):
        for name, kept in zip(head.names, read.read(row, head.names), strict=True):
            assert torch.equal(kept, states_of(head, row)[name].to(getattr(torch, dtype)))
    sizes = [path.stat().st_size for path in read.folder.glob("*.safetensors")]
    assert read.total_bytes == sum(sizes)


def test_turns_of_a_conversation_share_their_states(tmp_path: Path) -> None:
    turns = [ROWS[0], StoredOutput((1, 2, 3, 4, 5, 6), (7, 8), (), stopped=True)]
    states = states_of(HEAD, turns[1])
    with StatesWriter(tmp_path / "mini.states", HEAD) as writer:
        writer.add(turns, states)
    read = open_states(tmp_path / "mini.states", record_command="record")
    assert read.tokens == 8
    for turn, tokens in zip(turns, (5, 8), strict=True):
        for name, kept in zip(HEAD.names, read.read(turn, HEAD.names), strict=True):
            assert torch.equal(kept, states[name][:tokens].bfloat16())


def test_shards_are_closed_at_their_size(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "states-00001.safetensors",
        "states-00002.safetensors",
        INDEX,
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="maps are listed on Linux only")
def test_shards_are_mapped_not_read(folder: Path) -> None:
    read = open_states(folder, record_command="record")
    kept = read.read(ROWS[0], [layer_name(1)])
    assert str(folder / "states-00001.safetensors") in Path("/proc/self/maps").read_text()
    assert len(kept) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="maps are listed on Linux only")
def test_few_shards_are_mapped_at_a_time(tmp_path: Path) -> None:
    rows = [StoredOutput((number,), (1,), (), stopped=True) for number in range(9)]
    write(tmp_path / "mini.states", rows, shard_bytes=1)
    assert len(list((tmp_path / "mini.states").glob("*.safetensors"))) == 9
    read = open_states(tmp_path / "mini.states", record_command="record")
    for row in (*rows, *rows):
        assert torch.equal(read.read(row, [layer_name(3)])[0], states_of(HEAD, row)[layer_name(3)].bfloat16())
        assert Path("/proc/self/maps").read_text().count(str(tmp_path)) <= 2 * len(HEAD.names)


def test_an_interrupted_recording_leaves_the_old_one(folder: Path) -> None:
    def interrupted() -> None:
        with StatesWriter(folder, msgspec.structs.replace(HEAD, target="other"), 1) as writer:
            writer.add(ROWS[:1], states_of(HEAD, ROWS[0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in folder.parent.iterdir()] == ["mini.states"]
    assert open_states(folder, record_command="record").head == HEAD


def test_a_new_recording_replaces_the_old_one(folder: Path) -> None:
    head = msgspec.structs.replace(HEAD, layer_ids=(2,), final=False, dtype="float32")
    write(folder, ROWS[:1], head)
    assert [path.name for path in folder.parent.iterdir()] == ["mini.states"]
    read = open_states(folder, record_command="record")
    assert (read.head, read.tokens) == (head, 5)


def refused(folder: Path, match: str, row: StoredOutput = ROWS[2]) -> None:
    with pytest.raises(OutputsError, match=match) as caught:
        open_states(folder, record_command="speedbench states p/s").read(row, [layer_name(1)])
    assert "speedbench states p/s" in caught.value.remedy


def test_there_are_none(tmp_path: Path) -> None:
    refused(tmp_path / "mini.states", "There are no recorded states")


def change(folder: Path, **values: object) -> None:
    index = json.loads((folder / INDEX).read_bytes())
    (folder / INDEX).write_text(json.dumps({**index, **values}))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"format": "another"}, "no index of recorded states of this version"),
        ({"version": 2}, "no index of recorded states of this version"),
        ({"head": {}}, "no index of recorded states of this version: Object missing"),
        ({"shard_bytes": [1, 2]}, "truncated or damaged"),
        ({"shard_bytes": []}, "points at states that are not there"),
        ({"texts": [["x", -1, 0, 1]]}, "no index of recorded states of this version"),
    ],
)
def test_an_index_that_cannot_be_is_refused(folder: Path, values: dict[str, Any], match: str) -> None:
    change(folder, **values)
    refused(folder, match)


@pytest.mark.parametrize("bytes_left", [0, 10, -2])
def test_a_truncated_index_is_refused(folder: Path, bytes_left: int) -> None:
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:bytes_left])
    refused(folder, "no index of recorded states of this version")


def test_a_missing_shard_is_refused(folder: Path) -> None:
    (folder / "states-00002.safetensors").unlink()
    refused(folder, "lack the shard .*states-00002.safetensors", ROWS[0])


@pytest.mark.parametrize("bytes_left", [0, 7, -1])
def test_a_truncated_shard_is_refused(folder: Path, bytes_left: int) -> None:
    path = folder / "states-00001.safetensors"
    path.write_bytes(path.read_bytes()[:bytes_left])
    refused(folder, r"states-00001.safetensors is truncated or damaged", ROWS[0])


def test_a_shard_of_the_right_size_that_is_none_is_refused(folder: Path) -> None:
    path = folder / "states-00001.safetensors"
    path.write_bytes(b"\xff" * path.stat().st_size)
    refused(folder, "states-00001.safetensors is damaged", ROWS[0])


def test_a_shard_of_another_recording_is_refused(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other.states", ROWS, msgspec.structs.replace(HEAD, target_sha256="2"))
    (tmp_path / "other.states" / "states-00001.safetensors").replace(folder / "states-00001.safetensors")
    refused(folder, "belongs to another recording", ROWS[0])


def test_a_text_that_reaches_past_its_shard_is_refused(folder: Path) -> None:
    texts = json.loads((folder / INDEX).read_bytes())["texts"]
    change(folder, texts=[[*text[:3], 1000] for text in texts])
    refused(folder, "belongs to another recording", ROWS[0])


def test_other_outputs_are_refused(folder: Path) -> None:
    refused(folder, "are of other outputs than those stored now", StoredOutput((1, 2, 3), (4, 6), (), stopped=True))


def test_outputs_that_were_recorded_anew_with_more_of_them_are_not(folder: Path) -> None:
    again = msgspec.structs.replace(ROWS[0], overhang_ids=(9, 9), margins_nats=(1.0, 2.0))
    assert len(open_states(folder, record_command="record").read(again, [layer_name(3)])[0]) == 5


def test_another_target_is_refused(folder: Path) -> None:
    states = open_states(folder, record_command="speedbench states p/s")
    states.check_target("1")
    with pytest.raises(OutputsError, match=r"of another target than the pair's.*speedbench states p/s"):
        states.check_target("2")


@pytest.mark.parametrize(
    ("layer_ids", "final", "lacking", "command"),
    [
        ((1, 2, 9), False, "lack the stream after layer 2, 9, which", "record --layers 1,2,3,9 --final"),
        ((3,), True, "lack the states after the final norm, which", "record --layers 1,3 --final"),
        ((2,), True, "layer 2 and the states after the final norm, which", "record --layers 1,2,3 --final"),
    ],
)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_what_was_not_kept_is_refused(
    tmp_path: Path, layer_ids: tuple[int, ...], final: bool, lacking: str, command: str, dtype: StatesDtype
) -> None:
    head = msgspec.structs.replace(HEAD, final=not final, dtype=dtype)
    write(tmp_path / "mini.states", ROWS, head)
    states = open_states(tmp_path / "mini.states", record_command="record")
    states.check_holds((1, 3), final=not final)
    with pytest.raises(OutputsError, match=lacking) as caught:
        states.check_holds(layer_ids, final=final)
    assert caught.value.remedy.endswith(command + (" --dtype float32" if dtype == "float32" else ""))
