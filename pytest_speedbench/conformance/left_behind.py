"""Which processes an engine leaves running. Linux only; elsewhere it cannot be said."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pytest_speedbench.engines.processes import OWNER_VARIABLE, family

_PROC = Path("/proc")
_POLL_S = 0.1
_TRACKER = b"multiprocessing.resource_tracker"


class Watch:
    """Knows what an engine started since this was made, at any remove: by parent, session and owner's token."""

    def __init__(self) -> None:
        self._older = _descendants()
        self._sessions: set[int] = set()
        self._tokens: set[str] = set()
        self._seen: dict[int, bytes] = {}

    @property
    def possible(self) -> bool:
        """Whether this system shows its processes."""
        return (_PROC / "self").exists()

    def note(self) -> int:
        """Remember what runs now, so that it is known when its parent is gone; returns how many processes."""
        found = _descendants().keys() - self._older.keys()
        for pid in found:
            self._seen[pid] = _started(pid)
            if (session := _session(pid)) not in (None, os.getsid(0)):
                self._sessions.add(session or pid)
            self._tokens.update(_token(pid))
        return len(found)

    async def left(self, within_s: float) -> list[str]:
        """What still runs after at most ``within_s``, as process ids with their commands."""
        deadline = time.monotonic() + within_s
        while (left := self._alive()) and time.monotonic() < deadline:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(_POLL_S)
        return [f"{pid} ({_command(pid)})" for pid in sorted(left)]

    def _alive(self) -> set[int]:
        alive = set(_descendants()) - set(self._older)
        alive |= {pid for pid, started in self._seen.items() if started and _started(pid) == started}
        for session in self._sessions or {0}:
            for token in self._tokens or {""}:
                alive.update(family(session, token) if session or token else ())
        ours = os.getpid()
        return {pid for pid in alive if pid != ours and not _is_zombie(pid) and not _is_our_tracker(pid)}


def _fields(pid: int) -> list[bytes]:
    """State, parent, group, session and what follows; empty if the process is gone."""
    try:
        # The name before them stands in parentheses and may hold anything.
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _descendants() -> dict[int, bytes]:
    """Living processes below this one, with when they started."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        fields = _fields(int(entry.name))
        if fields and fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: dict[int, bytes] = {}
    waiting = [os.getpid()]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            found[pid] = _started(pid)
            waiting.append(pid)
    return found


def _started(pid: int) -> bytes:
    fields = _fields(pid)
    return fields[19] if len(fields) > 19 else b""


def _session(pid: int) -> int | None:
    fields = _fields(pid)
    return int(fields[3]) if fields else None


def _is_zombie(pid: int) -> bool:
    fields = _fields(pid)
    return not fields or fields[0] == b"Z"


def _is_our_tracker(pid: int) -> bool:
    """Python's tracker of shared resources belongs to this process and stays with it."""
    fields = _fields(pid)
    return bool(fields) and int(fields[1]) == os.getpid() and _TRACKER.decode() in _command(pid)


def _token(pid: int) -> list[str]:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
    mark = f"{OWNER_VARIABLE}=".encode()
    return [variable[len(mark) :].decode() for variable in variables if variable.startswith(mark)]


def _command(pid: int) -> str:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
    return words[:80]
