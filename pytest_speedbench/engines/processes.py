"""Processes that we start and that never outlive us: in a group of their own, their output in a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

OWNER_VARIABLE = "SPEEDBENCH_OWNER"
"""Set for an engine and inherited by its children, so that strays can be told from other people's processes."""

_POLL_S = 0.05
_KILL_WAIT_S = 10.0
_CLEAR_UP_S = 3.0
_TRACKER = b"multiprocessing.resource_tracker"
_TAIL_BYTES = 1 << 19


class EngineProcess:
    """A command in a process group of its own, with all that it starts.

    Engines start processes of their own and do not always end them; a session leader among them even leaves the group.
    All descendants are found (on Linux) by their session and by a token in their environment.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], token: str) -> None:
        self._process = process
        self._log = log
        self._token = token

    @classmethod
    def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
    ) -> EngineProcess:
        """Start a command; stdin is closed, stdout and stderr go to a temporary file.

        Args:
            command: program and arguments.
            environment: variables set on top of ours.
            pass_fds: file descriptors that it inherits.

        Raises:
            OSError: it does not start.
        """
        token = secrets.token_hex(16)
        log = tempfile.TemporaryFile(prefix="speedbench-engine-")  # noqa: SIM115 - lives as long as the process
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {}), OWNER_VARIABLE: token},
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        except BaseException:
            log.close()
            raise
        return cls(process, log, token)

    @property
    def pid(self) -> int:
        """The leader's process id, which is the group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The leader's exit code, negative for a signal; ``None`` while it runs."""
        return self._process.poll()

    def output(self, lines: int = 60) -> str:
        """The last lines of what it printed."""
        if self._log.closed:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    async def wait(self) -> int:
        """Wait for the leader to end; returns its exit code."""
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - the system tells only who asks
            await asyncio.sleep(_POLL_S)
        return code

    async def stop(self, grace_s: float = 10.0) -> None:
        """Ask it to end, wait ``grace_s``, then kill whatever is left of it. Safe to call twice."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.wait(), grace_s)
        began = time.monotonic()
        while (self._process.poll() is None or self._strays()) and (spent := time.monotonic() - began) < _KILL_WAIT_S:
            kill_family(self._process.pid, self._token, trackers=spent > _CLEAR_UP_S)
            await asyncio.sleep(_POLL_S)
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _strays(self) -> list[int]:
        return [pid for pid in family(self._process.pid, self._token) if pid != self._process.pid]


def kill_family(session: int, token: str, *, trackers: bool = False) -> bool:
    """Kill a family at once, without waiting, except this process; false if there was none left.

    Python's resource trackers are spared unless ``trackers``: when the others are dead they remove the shared memory
    that those left, and end by themselves.
    """
    others = [pid for pid in family(session, token) if pid != os.getpid() and (trackers or not _is_tracker(pid))]
    for pid in others:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    if not Path("/proc/self").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
    return bool(others)


def _is_tracker(pid: int) -> bool:
    try:
        return _TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def family(session: int, token: str) -> list[int]:
    """Living processes of a session or with an owner's token in their environment; empty where there is no /proc.

    A process that renames itself overwrites its environment, one that starts a session of its own leaves ours: each
    is found by the other mark.
    """
    mark = f"{OWNER_VARIABLE}={token}".encode()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # pid (name) state parent group session …; the name may hold anything, parentheses too.
            state, _parent, _group, its_session = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
            variables = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if state != b"Z" and (int(its_session) == session or mark in variables):
            found.append(int(entry.name))
    return found
