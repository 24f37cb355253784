"""A server of ours: ``llama-server`` on a free port of this machine."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.http.command import filled_in
from pytest_speedbench.engines.http.own_server import HOST, OwnServer, free_port
from pytest_speedbench.engines.llamacpp.arguments import binary_name, flags
from pytest_speedbench.engines.llamacpp.binary import find_binary
from pytest_speedbench.engines.llamacpp.files import drafter_file, target_file
from pytest_speedbench.engines.llamacpp.lossy import SETTINGS

KIND = "llama.cpp"
_ERROR = re.compile(r"^(?:[\d.]+ E |.*\berror: )(.*)$", re.MULTILINE)


def start_server(pair: Pair, table: Mapping[str, EngineArg], slots_folder: str | None) -> OwnServer:
    """Start ``llama-server``, or the pair's own command. It ends with the thread that started it.

    Args:
        pair: what to serve.
        table: the program's flags, without files and address; unused for a command of the pair's own.
        slots_folder: where it may save its slots, likewise.

    Raises:
        EngineError: there is no such program or file.
    """
    port = free_port()
    if pair.command is not None:
        return OwnServer.start(filled_in(pair, port), port=port, kind=KIND, root_cause=root_cause, lossy=SETTINGS)
    name, drafter = f"speedbench-{secrets.token_hex(4)}", drafter_file(pair)
    command = [
        find_binary(binary_name(pair)),
        *("--model", str(target_file(pair))),
        *(("--spec-draft-model", str(drafter)) if drafter is not None else ()),
        *("--host", HOST, "--port", str(port), "--alias", name),
        *(("--slot-save-path", slots_folder) if slots_folder is not None else ()),
        *flags(table),
    ]
    return OwnServer.start(command, port=port, kind=KIND, root_cause=root_cause, model=name, lossy=SETTINGS)


def root_cause(output: str) -> str:
    """The first error that llama.cpp printed; the empty text if there is none."""
    found = _ERROR.search(output)
    return found.group(1).strip() if found else ""
