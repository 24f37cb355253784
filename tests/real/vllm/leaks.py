"""What a run leaves behind, processes and shared memory: exact, and blind to whatever else the machine runs.

Linux only. A process that outlives its parent is handed to the nearest living ancestor that asked for such orphans.
A test that asks finds every process that anything it started has left, whatever its name, group or session.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.05
_MEMORY = "/dev/shm/"  # noqa: S108 - looked at, not written


@dataclass(frozen=True, slots=True)
class Process:
    """A living process; a stopped one lives, a zombie does not."""

    pid: int
    command: str


class Orphanage:
    """Knows the processes that were started, at any remove, since it was opened, and their shared memory."""

    def __init__(self) -> None:
        self._older = {process.pid for process in _descendants(os.getpid(), frozenset())}
        self._memory: set[Path] = set()

    def living(self) -> list[Process]:
        """Those alive now."""
        return _descendants(os.getpid(), frozenset(self._older))

    def find(self, words: str) -> list[Process]:
        """Those alive now with these words in their command line."""
        return [process for process in self.living() if words in process.command]

    def note_memory(self) -> None:
        """Remember which shared memory they use now: it has a name, and outlives those who forget to remove it."""
        for process in self.living():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{process.pid}/maps").read_text(errors="replace").splitlines()
                names = {line[line.index(_MEMORY) :] for line in lines if _MEMORY in line}
                self._memory.update(Path(name) for name in names if not name.endswith("(deleted)"))

    def left(self, within_s: float = 5.0) -> list[str]:
        """What is still there after at most ``within_s``, processes and shared memory; waits no longer than needed."""
        deadline = time.monotonic() + within_s
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return left

    def kill(self) -> None:
        """End all of them, stopped ones too, so that the next test finds a clean machine."""
        deadline = time.monotonic() + 10
        while (living := self.living()) and time.monotonic() < deadline:
            for process in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(_POLL_S)
        for path in self._memory:
            path.unlink(missing_ok=True)

    def _left(self) -> list[str]:
        processes = [f"{process.pid} {process.command}" for process in self.living()]
        return processes + sorted(str(path) for path in self._memory if path.exists())


@contextmanager
def orphanage() -> Generator[Orphanage, None, None]:
    """Take in orphans for as long as this lasts; what is left at the end is killed."""
    _take_orphans(True)
    try:
        children = Orphanage()
        try:
            yield children
        finally:
            children.kill()
    finally:
        _take_orphans(False)


def _take_orphans(on: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl refuses")


def _descendants(root: int, without: frozenset[int]) -> list[Process]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # pid (name) state parent …; the name may hold anything, parentheses too.
            state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if state not in (b"Z", b"X"):
                children.setdefault(int(parent), []).append(int(entry.name))
    found: list[Process] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in without:
                waiting.append(pid)
                found.append(Process(pid, _command(pid)))
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
