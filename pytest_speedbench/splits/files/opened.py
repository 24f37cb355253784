"""Open a file of a split without ever waiting for it, and say what it really is where it is no data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pytest_speedbench.errors import SplitError

_BUFFER_BYTES = 2**20
_HEAD_BYTES = 512
# Without it, opening a named pipe waits for somebody to write into it; Windows has neither.
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_UNPACK = "Unpack it, and name the file inside."
_CONVERT = "Save it as UTF-8."
_DISGUISES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "is a pointer of Git LFS, not the data", "Run git lfs pull."),
    (b"\x1f\x8b", "is compressed by gzip", _UNPACK),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstandard", _UNPACK),
    (b"BZh", "is compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "is compressed by xz", _UNPACK),
    (b"\xff\xfe", "is UTF-16", _CONVERT),
    (b"\xfe\xff", "is UTF-16", _CONVERT),
)
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A regular file that is open for reading.

    Attributes:
        handle: at its beginning.
        where: how to call it in messages.
        size_bytes: more than 0.
        head: its first bytes, for a look at what it is.
    """

    handle: BinaryIO
    where: str
    size_bytes: int
    head: bytes


@contextmanager
def opened(path: Path, where: str) -> Iterator[OpenedFile]:
    """Open a file; errors of the operating system are told in words until it is closed.

    Raises:
        SplitError: it is missing, unreadable, no regular file, empty, something else than data, or it was changed
            while it was read.
    """
    try:
        with _open(path, where) as handle:
            before = os.fstat(handle.fileno())
            head = handle.read(_HEAD_BYTES)
            handle.seek(0)
            _check_head(head, where)
            try:
                yield OpenedFile(handle, where, before.st_size, head)
            finally:
                # What was wrong with the rows may be due to it, so it is told first.
                _check_unchanged(before, os.fstat(handle.fileno()), where)
    except OSError as error:
        raise SplitError(f"{where} cannot be read: {error.strerror or error}.", _os_remedy(path)) from None


def _open(path: Path, where: str) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | _NO_WAITING)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SplitError(f"{where} is no regular file.", "Name a file, or a folder of files.")
    return os.fdopen(descriptor, "rb", buffering=_BUFFER_BYTES)


def _os_remedy(path: Path) -> str:
    if path.is_symlink():
        return f"It is a link to {path.readlink()}: does that exist?"
    return "Check that it exists, and its permissions."


def _check_head(head: bytes, where: str) -> None:
    if not head:
        raise SplitError(f"{where} is empty.", "Give at least one row with question_id, category and turns.")
    for beginning, problem, remedy in _DISGUISES:
        if head.startswith(beginning):
            raise SplitError(f"{where} {problem}.", remedy)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        raise SplitError(
            f"{where} is a web page, not the data.", "Fetch it again: a login or an error page was saved in its place."
        )


def _check_unchanged(before: os.stat_result, after: os.stat_result, where: str) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SplitError(f"{where} was changed while it was read.", "Try again once it is written.")
