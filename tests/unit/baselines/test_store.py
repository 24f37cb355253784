from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_speedbench.baselines import (
    Baseline,
    baseline_path,
    list_baselines,
    load_baseline,
    read_baseline,
    write_baseline,
)
from pytest_speedbench.baselines.store import to_text
from pytest_speedbench.errors import BaselineError
from tests.unit.metrics.runs import conversation, run, turn

COMMAND = "pytest --speedbench-update"
BASELINE = Baseline.from_run(
    run(
        [
            conversation("q/1", "qa", turn([3, 0, None]), turn([2])),
            conversation('ünïcode \u2028 "quoted"', "math", turn([1, 1], discarded=1)),
            conversation("3", "math", turn([None])),
        ]
    ),
    date="2026-03-01T12:00:00",
)
TEXT = to_text(BASELINE)
CALIBRATED_TEXT = to_text(
    Baseline.from_runs(
        [
            run([conversation("1", "qa", turn([3, 0])), conversation("2", "math", turn([1]))]),
            run([conversation("1", "qa", turn([2, 1])), conversation("2", "math", turn([1]))]),
        ],
        date="2026-03-01",
    )
)


def read(path: Path) -> Baseline:
    return read_baseline(path, record_command=COMMAND)


def refused(path: Path, *fragments: str) -> BaselineError:
    with pytest.raises(BaselineError) as caught:
        read(path)
    for fragment in (str(path), *fragments):
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_baseline(tmp_path, BASELINE)


def edit(path: Path, change: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_what_was_written_is_read_back(path: Path, tmp_path: Path) -> None:
    assert path == tmp_path / "small" / "split.json"
    assert read(path) == BASELINE
    assert load_baseline(tmp_path, "small", "split", record_command=COMMAND) == BASELINE
    assert path.read_text(encoding="utf-8") == TEXT
    assert to_text(read(path)) == TEXT


def test_the_layout_can_be_read_in_a_diff() -> None:
    lines = TEXT.split("\n")
    assert TEXT.endswith("}\n")
    assert list(json.loads(TEXT)) == [name for name in Baseline.__struct_fields__ if name != "calibration"]
    assert lines[1:3] == ['  "format": "pytest-speedbench baseline",', '  "schema_version": 1,']
    assert lines[5] == '  "summary": {'
    prompts = lines[lines.index('  "prompts": [') + 1 : -3]
    assert [json.loads(line.rstrip(","))["id"] for line in prompts] == [prompt.id for prompt in BASELINE.prompts]
    assert sum('"qa": {' in line for line in lines) == 1


def test_line_ends_of_another_system_are_read(path: Path) -> None:
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    assert read(path) == BASELINE


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    error = refused(tmp_path / "none.json", "There is no baseline")
    assert error.remedy == f"Record one with: {COMMAND}"


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")
    (tmp_path / "small").write_text("a file where the pair's folder should be")
    with pytest.raises(BaselineError, match="cannot be written"):
        write_baseline(tmp_path, BASELINE)
    refused(tmp_path / "small" / "split.json", "cannot be read")


def test_a_file_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    refused(path, "cannot be read (Permission denied)")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "small.json")
    refused(tmp_path / "small.json", "cannot be read (it is a pipe or a device)")


def test_truncated_and_foreign_files(path: Path) -> None:
    path.write_text(TEXT[: TEXT.index('"recorded"')], encoding="utf-8")
    refused(path, "not valid JSON (line ", COMMAND)
    path.write_text("")
    refused(path, "not valid JSON (line 1, column 1")
    path.write_text("<<<<<<< HEAD\n" + TEXT, encoding="utf-8")
    refused(path, "not valid JSON (line 1")
    path.write_bytes(b"\xff\xfe")
    refused(path, "not text")
    path.write_text("[" * 100_000)
    refused(path, "nested too deeply")
    for text in ("[]", "3", '{"format": "other"}', "{}"):
        path.write_text(text)
        refused(path, "is not a pytest-speedbench baseline")


def test_other_schema_versions(path: Path) -> None:
    edit(path, lambda data: data.update(schema_version=2))
    assert refused(path, "newer pytest-speedbench").remedy == "Upgrade pytest-speedbench."
    for version in (0, "1", None, True, 1.0):
        edit(path, lambda data, version=version: data.update(schema_version=version))
        refused(path, f"schema version {version!r}", COMMAND)


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda d: d["summary"]["overall"].update(al_macro=9.0), "edited by hand"),
        (lambda d: d["summary"]["categories"].pop("qa"), "edited by hand"),
        (lambda d: d["prompts"].pop(), "edited by hand"),
        (lambda d: d["prompts"].append(d["prompts"][0]), "more than once: q/1"),
        (lambda d: d["prompts"].clear(), "$.prompts"),
        (lambda d: d["prompts"][0].pop("turns"), "prompt 'q/1': "),
        (lambda d: d["prompts"][0].update(extra=1), "extra"),
        (lambda d: d["prompts"][0].update(proposed_tokens=0), "prompt 'q/1': "),
        (lambda d: d["prompts"][0].update(output_tokens=99), "99 output tokens are stated"),
        (lambda d: d["prompts"][0].update(turns=True), "prompt 'q/1': "),
        (lambda d: d["prompts"][0].update(histogram=[0]), "prompt 'q/1': "),
        (lambda d: d["prompts"][0].update(undrafted_steps=10**400), "prompt 'q/1': "),
        (lambda d: d["acceptance_key"].update(source=None), "names no source"),
        (lambda d: d["acceptance_key"].update(source="guess"), "guess"),
        (lambda d: d.pop("hardware_key"), "hardware_key"),
    ],
)
def test_damage_is_told_apart(path: Path, change: Any, fragment: str) -> None:
    edit(path, change)
    refused(path, "is damaged", fragment, COMMAND)


def test_a_file_moved_to_another_pairs_place(path: Path, tmp_path: Path) -> None:
    other = baseline_path(tmp_path, "large", "split")
    other.parent.mkdir()
    path.rename(other)
    with pytest.raises(BaselineError, match="holds the baseline of 'small' on 'split', not of 'large'"):
        load_baseline(tmp_path, "large", "split", record_command=COMMAND)


def test_an_interrupted_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    changed = msgspec.structs.replace(BASELINE, recorded=msgspec.structs.replace(BASELINE.recorded, date="later"))
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_baseline(path.parents[1], changed)
    assert [file.name for file in path.parent.iterdir()] == ["split.json"]
    assert read(path) == BASELINE
    monkeypatch.undo()
    write_baseline(path.parents[1], changed)
    assert read(path) == changed


def test_a_full_disk_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BaselineError, match="No space left on device"):
        write_baseline(path.parents[1], BASELINE)
    assert read(path) == BASELINE


def test_baselines_are_listed(path: Path, tmp_path: Path) -> None:
    (path.parent / ".split.json.1.tmp").write_text("left over")
    (path.parent / "notes.txt").write_text("")
    (path.parent / "folder.json").mkdir()
    assert list_baselines(tmp_path) == [path]
    assert list_baselines(tmp_path / "none") == []


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "..", ".hidden", "con", "NUL.x", "a b", "日本", "x" * 300, "a\0b", "c:"]
)
def test_unsafe_names_become_safe_ones(name: str) -> None:
    folder = Path("baselines")
    path = baseline_path(folder, name, "split")
    assert path.parents[1] == folder
    assert path == baseline_path(folder, name, "split")
    part = path.parent.name
    assert part.isascii()
    assert part not in ("", ".", "..")
    assert not part.startswith(".")
    assert len(part) < 100
    assert part != name


def test_names_that_look_alike_stay_apart() -> None:
    folder = Path("baselines")
    assert len({baseline_path(folder, name, "s") for name in ("a/b", "a b", "a-b", "a:b")}) == 4
    assert baseline_path(folder, "llama3.3-70b_eagle3", "qualitative").parts[1:] == (
        "llama3.3-70b_eagle3",
        "qualitative.json",
    )


@pytest.mark.parametrize("name", ["", "  "])
def test_a_name_is_needed(name: str) -> None:
    with pytest.raises(BaselineError, match="without a name"):
        baseline_path(Path(), name, "split")


DATA = TEXT.encode()
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def loads_or_refuses(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with suppress(BaselineError):
        read(path).check()


@FUZZ
@given(end=st.integers(0, len(DATA) - 2))
def test_no_truncation_is_taken_for_a_baseline(path: Path, end: int) -> None:
    path.write_bytes(DATA[:end])
    refused(path)


@FUZZ
@given(place=st.integers(0, len(DATA) - 1), byte=st.integers(0, 255))
@example(place=0, byte=0xEF)
def test_any_flipped_byte_is_read_or_refused(path: Path, place: int, byte: int) -> None:
    loads_or_refuses(path, DATA[:place] + bytes([byte]) + DATA[place + 1 :])


@FUZZ
@given(text=st.sampled_from([TEXT, CALIBRATED_TEXT]), data=st.data())
def test_any_swapped_value_is_read_or_refused(path: Path, text: str, data: st.DataObject) -> None:
    tree = json.loads(text)
    node: Any = tree
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.just([])
    )
    loads_or_refuses(path, json.dumps(tree).encode())
