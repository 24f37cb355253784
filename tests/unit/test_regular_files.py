from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_speedbench.baselines.published import is_published
from pytest_speedbench.regular_files import read_regular


def test_a_file_is_read_whole_and_no_larger_than_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "file", 4)


def test_what_is_no_file_is_told_apart(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, problem in ((tmp_path / "pipe", "a pipe or a device"), (Path("/dev/zero"), "a pipe or a device")):
        with pytest.raises(OSError, match=problem):
            read_regular(path)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
    assert not is_published(tmp_path / "pipe")
