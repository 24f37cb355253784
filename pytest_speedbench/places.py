"""Files and folders that come whole or not at all: probed before, written beside, moved at the end.

What is written lies beside its place under a name that says which process writes it, so that a later process knows what
a killed one left. Nothing here knows what is in the files.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_DRAFT = re.compile(r"\..+\.(?:(?P<host>[0-9a-f]{8})-)?(?P<pid>\d{1,18})(?:-\d+)?\.tmp")
_OLD_S = 7 * 86400.0
"""No session takes a week: older drafts are left over, whatever machine they were written on."""
_numbers = itertools.count()


class ChangedError(Exception):
    """A place holds something else than when it was looked at."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that was written beside its place.

    Attributes:
        path: its place.
        draft: where it lies now.
        seen: hash of what lay in the place when it was looked at; ``None`` if nothing did.
    """

    path: Path
    draft: Path
    seen: str | None


def probe(folder: Path) -> None:
    """Make sure that files can be made in a folder, which need not exist yet, by making one; nothing is left.

    Permissions alone do not say: they hold neither for root nor on every mount.

    Raises:
        OSError: they cannot.
    """
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    handle, name = tempfile.mkstemp(prefix=".speedbench-", suffix=".probe", dir=nearest)
    os.close(handle)
    Path(name).unlink()


def probe_file(path: Path) -> None:
    """Make sure that a file can be written where its folder exists, and leave it as it is.

    Raises:
        OSError: it cannot, or its folder does not exist.
    """
    if path.is_file():
        with path.open("ab"):
            return
    if not path.exists():
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
        probe(path.parent)
    elif path.is_dir() or not os.access(path, os.W_OK):  # else a device, such as the terminal
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def beside(path: Path) -> Path:
    """A name in a file's folder for what is to become that file: hidden, and telling which process made it."""
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return path.with_name(f".{path.name}.{host}-{os.getpid()}-{next(_numbers)}.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove from a folder the drafts of processes that ended before they were done."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        found = _DRAFT.fullmatch(path.name)
        if found and _is_left_over(path, found["host"], int(found["pid"])):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def content_sha256(path: Path) -> str | None:
    """Hash of a file; ``None`` if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file so that it survives a loss of power."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder if there is none: an interrupted write leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = beside(path)
    try:
        write_flushed(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def put_in_place(drafts: Sequence[Draft]) -> None:
    """Move drafts to their places: all of them or none.

    Raises:
        ChangedError: a place was written meanwhile, by another process.
        OSError: one cannot be moved; those moved before it are taken back.
    """
    with _locked({one.path.parent for one in drafts}):
        before: dict[Path, bytes | None] = {}
        for one in drafts:
            if content_sha256(one.path) != one.seen:
                raise ChangedError(one.path)
            before[one.path] = None if one.seen is None else one.path.read_bytes()
        moved: list[Path] = []
        try:
            for one in drafts:
                one.draft.replace(one.path)
                moved.append(one.path)
        except BaseException:
            for path in moved:
                old = before[path]
                path.unlink() if old is None else write_whole(path, old)
            raise


def _is_left_over(path: Path, host: str | None, pid: int) -> bool:
    here = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    with contextlib.suppress(OSError):
        if time.time() - path.lstat().st_mtime > _OLD_S:
            return True
    return host in (None, here) and not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # signal 0 is Ctrl-C elsewhere
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _locked(folders: Iterable[Path]) -> Iterator[None]:
    """Hold folders against other processes that ask, where the system can; the places' hashes are checked anyway."""
    with contextlib.ExitStack() as stack:
        try:
            import fcntl
        except ImportError:
            yield
            return
        for folder in sorted(folders):
            with contextlib.suppress(OSError):  # some network mounts lock nothing
                handle = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
