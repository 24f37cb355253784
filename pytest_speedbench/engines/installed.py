"""What is installed, here or in another environment, without importing it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import lru_cache

from pytest_speedbench.errors import EngineError

_US = "pytest-speedbench"
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


@lru_cache
def installed(python: str, distributions: tuple[str, ...]) -> Mapping[str, str]:
    """The versions of those of ``distributions``, and of this package, that the interpreter ``python`` has.

    Raises:
        EngineError: the interpreter does not run.
    """
    try:
        answer = subprocess.run(
            [python, "-c", _PROBE.replace("NAMES", repr((*distributions, _US)))],
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


def check_hosts_us(found: Mapping[str, str], python: str | None, engine: str) -> None:
    """Refuse an interpreter that lacks this package and so cannot host an engine of ours.

    Args:
        found: as from :func:`installed`.
        python: that interpreter, ``None`` for this one.
        engine: what is to be hosted, in words such as "vLLM".

    Raises:
        EngineError: with the way out.
    """
    if _US not in found:
        raise EngineError(
            f"{_US} is not installed{at(python)}.", f"Install it beside {engine}: pip install pytest-speedbench."
        )


def at(python: str | None) -> str:
    """Where, for a message: empty for this interpreter."""
    return f" for {python}" if python else ""
