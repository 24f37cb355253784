"""The ``llama-server`` program: where it is, which flags it knows, on what it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache

from pytest_speedbench.errors import EngineError

PROGRAM = "llama-server"
_PROBE_S = 60
_FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
_DEVICE = re.compile(r"^\s+\w+: (.+?) \(\d+ MiB.*\)\s*$", re.MULTILINE)
_NEEDED = ("--spec-type", "--spec-draft-n-max", "--metrics", "--override-kv")
"""Flags of 2026: with ``--spec-type`` came counters of acceptance with every token."""


def find_binary(wanted: str) -> str:
    """The absolute path of ``llama-server``, by a path or as the shell would find it.

    Raises:
        EngineError: there is none.
    """
    path = shutil.which(wanted)
    if path is None:
        raise EngineError(
            f"The program {wanted!r} is not installed.",
            "Install llama.cpp, and give the path of its llama-server as the engine argument binary if it is not in "
            "PATH.",
        )
    return path


@lru_cache
def known_flags(binary: str) -> frozenset[str]:
    """The flags that ``llama-server --help`` lists.

    Raises:
        EngineError: it does not run, or is of a version without what this engine needs.
    """
    flags = frozenset(_FLAG.findall(_run(binary, "--help")))
    missing = [flag for flag in _NEEDED if flag not in flags]
    if missing:
        raise EngineError(
            f"{binary} knows no {missing[0]}: it is too old, or no llama-server.",
            "Use a llama-server of August 2026 (build 10434) or later.",
        )
    return flags


@lru_cache
def devices(binary: str) -> tuple[str, ...]:
    """The names of the accelerators that it can use; none on a CPU.

    Raises:
        EngineError: it does not run.
    """
    return tuple(_DEVICE.findall(_run(binary, "--list-devices")))


def _run(binary: str, argument: str) -> str:
    try:
        ran = subprocess.run([binary, argument], capture_output=True, text=True, timeout=_PROBE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"{binary} does not run: {error}.", "Give the path of a llama-server that runs.") from None
    return ran.stdout
