"""Which SGLang is installed, here or in another environment, without importing it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from pytest_speedbench.engines.installed import at, installed
from pytest_speedbench.engines.installed import check_hosts_us as hosts_us
from pytest_speedbench.errors import EngineError

OLDEST = (0, 5, 20)
NEWEST = (0, 5, 23)
"""The versions whose interfaces this adapter was written against, inclusive."""

_DISTRIBUTION = "sglang"
_RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:\D.*)?")


def check_hosts_us(python: str | None) -> None:
    """Refuse an interpreter that lacks this package and so cannot host an engine of ours.

    Raises:
        EngineError: with the way out.
    """
    hosts_us(_installed(python or sys.executable), python, "SGLang")


def check_version(python: str | None) -> None:
    """Refuse an SGLang that the interpreter ``python`` (``None``: this one) lacks or that this adapter does not know.

    Raises:
        EngineError: with the way out.
    """
    text = _installed(python or sys.executable).get(_DISTRIBUTION)
    if text is None:
        raise EngineError(
            f"SGLang is not installed{at(python)}.",
            "Install it there, or name the interpreter that has it with --speedbench-python.",
        )
    release = _RELEASE.fullmatch(text)
    if release is None:
        raise EngineError(f"The installed SGLang{at(python)} has the version {text!r}.", _supported())
    if not OLDEST <= tuple(map(int, release.groups())) <= NEWEST:
        raise EngineError(f"SGLang {text} is installed{at(python)}, which this adapter does not know.", _supported())


def _supported() -> str:
    return f"Install a version from {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}."


def _installed(python: str) -> Mapping[str, str]:
    return installed(python, (_DISTRIBUTION,))
