"""A server of ours: vLLM's own, on a free port of this machine."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from pytest_speedbench.engines.http.own_server import HOST, OwnServer, free_port
from pytest_speedbench.engines.vllm.failures import root_cause
from pytest_speedbench.engines.vllm.lossy import SETTINGS
from pytest_speedbench.errors import EngineError

_MODULE = "vllm.entrypoints.openai.api_server"
# The one way to have the server say what it made of its arguments; it listens to this machine only.
_ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1"}
_SWITCHES = ("disable_log_stats", "aggregate_engine_logging", "data_parallel_multi_port_external_lb")
"""Flags without a ``--no-`` form."""


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
    port, model = free_port(), f"speedbench-{secrets.token_hex(4)}"
    server = {"host": HOST, "port": port, "served_model_name": model, "disable_uvicorn_access_log": True}
    if taken := sorted(server.keys() & arguments.keys()):
        raise EngineError(
            f"The engine argument {taken[0]} is set by the vllm-serve engine.",
            "Leave it out, or start the server yourself and give its URL as the endpoint.",
        )
    command = [interpreter, "-m", _MODULE, *flags({**arguments, **server})]
    return OwnServer.start(
        command, port=port, kind="vLLM", root_cause=root_cause, model=model, environment=_ENVIRONMENT, lossy=SETTINGS
    )


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
