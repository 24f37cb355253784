"""A server of ours: started on a free port of this machine, watched until it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_speedbench.engines.processes import EngineProcess
from pytest_speedbench.engines.vllm.failures import root_cause
from pytest_speedbench.engines.vllm_serve.http import ServerClient, ServerDownError
from pytest_speedbench.errors import EngineError

_HOST = "127.0.0.1"
_MODULE = "vllm.entrypoints.openai.api_server"
# The one way to have the server say what it made of its arguments; it listens to this machine only.
_ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1"}
_SWITCHES = ("disable_log_stats", "aggregate_engine_logging", "data_parallel_multi_port_external_lb")
"""Flags without a ``--no-`` form."""
# vLLM does not watch who started it: on Linux the system ends the server with us, even if we are killed.
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


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server that we started.

    Attributes:
        process: its process, with all that it starts.
        url: its root.
        model: the name under which it serves the pair's model: nobody else's server has it.
    """

    process: EngineProcess
    url: str
    model: str

    async def wait_until_ready(self, client: ServerClient) -> None:
        """Wait until it answers; its death is noticed at once.

        Raises:
            EngineError: it ended instead; what it printed last is in it.
        """
        while True:
            if (code := self.process.exit_code) is not None:
                output = self.process.output()
                cause = root_cause(output) or _last_line(output)
                raise EngineError(
                    f"The vLLM server did not start, its process ended with exit code {code}: {cause}",
                    "Mend what its output names.",
                    output,
                )
            with contextlib.suppress(ServerDownError):
                await client.get("/health")
                return
            await asyncio.sleep(_POLL_S)

    async def explain(self, failure: ServerDownError) -> EngineError:
        """A failure while it ran, with the cause that its output names."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), _LAST_WORDS_S)  # it writes its last words before it ends
        code, output = self.process.exit_code, self.process.output()
        problem = failure.problem if code is None else f"The vLLM server ended with exit code {code} while needed."
        cause = root_cause(output)
        return EngineError(f"{problem} {cause}".strip(), "Its output says more.", output)


def start_server(python: str | None, arguments: Mapping[str, Any]) -> OwnServer:
    """Start ``vllm serve`` on a free port of this machine. It ends with the thread that started it.

    Args:
        python: the interpreter of vLLM's environment; ``None`` for this one.
        arguments: vLLM's engine arguments.

    Raises:
        EngineError: there is no such interpreter, or an argument is not the user's to set.
    """
    interpreter = shutil.which(python or sys.executable)
    if interpreter is None:
        raise EngineError(f"The interpreter {python!r} does not run.", "Give the python of vLLM's environment.")
    port, model = _free_port(), f"speedbench-{secrets.token_hex(4)}"
    server = {"host": _HOST, "port": port, "served_model_name": model, "disable_uvicorn_access_log": True}
    if taken := sorted(server.keys() & arguments.keys()):
        raise EngineError(
            f"The engine argument {taken[0]} is set by the vllm-serve engine.",
            "Leave it out, or start the server yourself and give its URL as the endpoint.",
        )
    command = [interpreter, "-m", _MODULE, *flags({**arguments, **server})]
    tied = [sys.executable, "-I", "-c", _TIED_TO_US, str(os.getpid()), *command]
    process = EngineProcess.start(tied, environment=_ENVIRONMENT)
    return OwnServer(process, f"http://{_HOST}:{port}", model)


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Engine arguments as vLLM's command line takes them; those that are ``None`` are left out."""
    words: list[str] = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if value is None or (value is False and name in _SWITCHES):
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, Mapping):
            words += [f"--{flag}", json.dumps(value)]
        elif isinstance(value, (list, tuple)):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}", str(value)]
    return words


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
