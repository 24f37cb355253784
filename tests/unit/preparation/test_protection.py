"""Prepared rows are not committed by accident."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_speedbench.preparation.protection import keep_from_git

GIT = shutil.which("git") or "git"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    subprocess.run([GIT, "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "data").mkdir()
    return tmp_path


def test_a_folder_in_a_work_tree_is_covered(tree: Path) -> None:
    keep_from_git(tree / "data")
    (tree / "data" / "test.parquet").write_bytes(b"rows")
    done = subprocess.run([GIT, "-C", str(tree), "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_a_folder_that_is_ignored_is_left_alone(tree: Path) -> None:
    (tree / ".gitignore").write_text("data/\n")
    keep_from_git(tree / "data")
    assert not list((tree / "data").iterdir())


def test_without_git_it_is_covered_all_the_same(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    keep_from_git(tree / "data")
    assert (tree / "data" / ".gitignore").read_text() == "*\n"


def test_outside_a_work_tree_nothing_is_written(tmp_path: Path) -> None:
    keep_from_git(tmp_path)
    assert not list(tmp_path.iterdir())
