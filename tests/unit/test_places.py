"""Files that come whole or not at all, and what killed processes leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_speedbench.places import (
    ChangedError,
    Draft,
    beside,
    content_sha256,
    probe,
    probe_file,
    put_in_place,
    remove_leftovers,
    write_whole,
)


def draft(path: Path, text: str) -> Draft:
    place = beside(path)
    place.write_text(text)
    return Draft(path, place, content_sha256(path))


def test_all_drafts_are_put_in_their_places(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    put_in_place([draft(old, "after"), draft(new, "first")])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["new", "old"]
    assert (old.read_text(), new.read_text()) == ("after", "first")


def test_one_that_cannot_be_moved_takes_the_others_back(tmp_path: Path) -> None:
    old, new, gone = tmp_path / "old", tmp_path / "new", tmp_path / "gone"
    old.write_text("before")
    drafts = [draft(old, "after"), draft(new, "first"), draft(gone, "")]
    drafts[2].draft.unlink()
    with pytest.raises(FileNotFoundError):
        put_in_place(drafts)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "before"


@pytest.mark.parametrize("before", ["", "something"])
def test_one_whose_place_was_written_meanwhile_moves_none(tmp_path: Path, before: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    if before:
        other.write_text(before)
    drafts = [draft(one, "mine"), draft(other, "mine")]
    other.write_text("theirs")
    with pytest.raises(ChangedError):
        put_in_place(drafts)
    assert not one.exists()
    assert other.read_text() == "theirs"


def test_what_nobody_writes_any_more_is_removed(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = int(ended.stdout)
    mine = beside(tmp_path / "a.json")
    host = mine.name.split(".")[-2].partition("-")[0]
    kept = [mine, tmp_path / f".a.json.00000000-{dead}-1.tmp", tmp_path / ".notes.tmp", tmp_path / f"a.{dead}.tmp"]
    left = [tmp_path / f".a.json.{dead}.tmp", tmp_path / f".a.json.{host}-{dead}-0.tmp", tmp_path / ".b.json.1.tmp"]
    for path in (*kept, *left):
        path.write_text("half")
    folder = tmp_path / f".a.states.{host}-{dead}-2.tmp"
    folder.mkdir()
    (folder / "shard").write_text("half")
    os.utime(left[2], (0, 0))  # of a process whose number lives on
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "none")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_trying_a_folder_makes_nothing(tmp_path: Path) -> None:
    probe(tmp_path / "not" / "made" / "yet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_or_in_a_file_system_of_the_kernel_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(OSError, match="file"):
            probe(folder)


def test_trying_a_file_leaves_it_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    probe_file(path)
    assert not path.exists()
    path.write_text("figures")
    probe_file(path)
    assert path.read_text() == "figures"
    for wrong in (tmp_path, tmp_path / "none" / "figures.json", path / "below"):
        with pytest.raises(OSError, match=r"figures|directory|folder"):
            probe_file(wrong)
    probe_file(Path("/dev/null"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "a.json"
    write_whole(path, b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"old"]
