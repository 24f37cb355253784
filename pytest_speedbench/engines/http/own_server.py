"""A server of ours: started on this machine, watched until it answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_speedbench.engines.http.client import ServerClient, ServerDownError
from pytest_speedbench.engines.lossy import LossySetting, refuse_printed
from pytest_speedbench.engines.processes import EngineProcess
from pytest_speedbench.errors import EngineError

HOST = "127.0.0.1"
"""Servers of ours listen to this machine only."""
# Servers do not watch who started them: on Linux the system ends them with us, even if we are killed.
_TIED_TO_US = """
import ctypes, os, signal, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
os.execv(command[0], command)
"""
_POLL_S = 0.2
_LAST_WORDS_S = 3.0
_ALL_LINES = 1 << 20


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server that we started.

    Attributes:
        process: its process, with all that it starts.
        url: its root.
        kind: what server it is, in words such as "vLLM".
        root_cause: finds the cause of a failure in what it printed; the empty text if there is none.
        model: the name under which it serves the pair's model, if we could choose one that nobody else's server has.
        lossy: settings that would make its acceptance mean something else.
    """

    process: EngineProcess
    url: str
    kind: str
    root_cause: Callable[[str], str]
    model: str | None = None
    lossy: Sequence[LossySetting] = ()

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        port: int,
        kind: str,
        root_cause: Callable[[str], str],
        model: str | None = None,
        environment: Mapping[str, str] | None = None,
        lossy: Sequence[LossySetting] = (),
    ) -> OwnServer:
        """Start a command that serves at :data:`HOST` and ``port``. It ends with the thread that started it.

        Args:
            command: an absolute path and its arguments.
            port: as from :func:`free_port`.
            kind: as the attribute.
            root_cause: as the attribute.
            model: as the attribute.
            environment: variables set on top of ours.
            lossy: as the attribute.
        """
        tied = [sys.executable, "-I", "-c", _TIED_TO_US, str(os.getpid()), *command]
        process = EngineProcess.start(tied, environment=environment)
        return cls(process, f"http://{HOST}:{port}", kind, root_cause, model, lossy)

    async def wait_until_ready(self, client: ServerClient, paths: Sequence[str] = ("/health",)) -> None:
        """Wait until it answers at every one of these pages, with whatever it has there; its death is noticed at once.

        Raises:
            EngineError: it ended instead, what it printed last is in it; or it says that its acceptance is made up or
                lossy.
        """
        while True:
            if (code := self.process.exit_code) is not None:
                output = self.process.output()
                cause = self.root_cause(output) or _last_line(output)
                raise EngineError(
                    f"The {self.kind} server did not start, its process ended with exit code {code}: {cause}",
                    "Mend what its output names.",
                    output,
                )
            with contextlib.suppress(ServerDownError):
                for path in paths:
                    await client.find(path)
                refuse_printed(self.kind, self.lossy, self.process.output(_ALL_LINES))
                return
            await asyncio.sleep(_POLL_S)

    async def explain(self, failure: ServerDownError) -> EngineError:
        """A failure while it ran, with the cause that its output names."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), _LAST_WORDS_S)  # it writes its last words before it ends
        code, output = self.process.exit_code, self.process.output()
        problem = (
            failure.problem if code is None else f"The {self.kind} server ended with exit code {code} while needed."
        )
        cause = self.root_cause(output)
        return EngineError(f"{problem} {cause}".strip(), "Its output says more.", output)


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
