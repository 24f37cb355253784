"""A server of ours: SGLang's own, on a free port of this machine."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from pytest_speedbench.engines.http.own_server import HOST, OwnServer, free_port
from pytest_speedbench.engines.sglang.failures import root_cause
from pytest_speedbench.engines.sglang.lossy import SETTINGS
from pytest_speedbench.errors import EngineError

_MODULE = "sglang.launch_server"
_NOT_THE_USERS = ("host", "port", "served_model_name", "api_key")


def start_server(python: str | None, arguments: Mapping[str, Any]) -> OwnServer:
    """Start ``sglang.launch_server`` on a free port of this machine. It ends with the thread that started it.

    Args:
        python: the interpreter of SGLang's environment; ``None`` for this one.
        arguments: SGLang's server arguments.

    Raises:
        EngineError: there is no such interpreter, or an argument is not the user's to set.
    """
    interpreter = shutil.which(python or sys.executable)
    if interpreter is None:
        raise EngineError(f"The interpreter {python!r} does not run.", "Give the python of SGLang's environment.")
    for name in _NOT_THE_USERS:
        if name in arguments:
            raise EngineError(
                f"The engine argument {name} is set by the sglang-serve engine.",
                "Leave it out, or start the server yourself and give its URL as the endpoint.",
            )
    port, model = free_port(), f"speedbench-{secrets.token_hex(4)}"
    server = {"host": HOST, "port": port, "served_model_name": model, "log_level": "warning"}
    command = [interpreter, "-m", _MODULE, *flags({**server, **arguments})]
    return OwnServer.start(command, port=port, kind="SGLang", root_cause=root_cause, model=model, lossy=SETTINGS)


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Server arguments as SGLang's command line takes them; those that are ``None`` or false are left out.

    Nearly all of its switches can only be turned on: :func:`check_switches` sees whether the others stayed off.
    """
    words: list[str] = []
    for name, value in arguments.items():
        if value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is True:
            continue
        if isinstance(value, Mapping):
            words.append(json.dumps(value))
        elif isinstance(value, (list, tuple)):
            words += map(str, value)
        else:
            words.append(str(value))
    return words


def check_switches(arguments: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """What was asked to be off is off.

    Raises:
        EngineError: it is on by default, and the command line cannot turn it off.
    """
    for name, value in arguments.items():
        if value is False and resolved.get(name) is True:
            raise EngineError(
                f"The SGLang server has {name} on, and its command line cannot turn it off.",
                "Use the sglang engine, or leave the argument out.",
            )
