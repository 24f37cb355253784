"""What is installed, here or in another environment, without importing it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Supported:
    """The versions of an engine's package that an adapter was written against.

    Attributes:
        engine: in words such as "vLLM".
        distributions: names under which it is installed, the usual one first.
        oldest: the first of the versions, as many numbers as count.
        newest: the last one, inclusive.
    """

    engine: str
    distributions: tuple[str, ...]
    oldest: tuple[int, ...]
    newest: tuple[int, ...]

    def version(self, python: str | None) -> tuple[int, ...]:
        """The version that the interpreter ``python`` (``None``: this one) would import.

        Raises:
            EngineError: the interpreter does not run, lacks the package, or has a version that is not supported.
        """
        found = installed(python or sys.executable, self.distributions)
        text = next((found[name] for name in self.distributions if name in found), None)
        if text is None:
            raise EngineError(
                f"{self.engine} is not installed{at(python)}.",
                "Install it there, or name the interpreter that has it with --speedbench-python.",
            )
        remedy = f"Install a version from {dotted(self.oldest)} to {dotted(self.newest)}."
        release = re.match(r"\d+(?:\.\d+)*", text)
        numbers = tuple(map(int, release.group().split("."))) if release else ()
        if len(numbers) < len(self.oldest):
            raise EngineError(f"The installed {self.engine}{at(python)} has the version {text!r}.", remedy)
        version = numbers[: len(self.oldest)]
        if not self.oldest <= version <= self.newest:
            raise EngineError(
                f"{self.engine} {text} is installed{at(python)}, which this adapter does not know.", remedy
            )
        return version

    def check_hosts_us(self, python: str | None) -> None:
        """Refuse an interpreter that lacks this package and so cannot host an engine of ours.

        Raises:
            EngineError: with the way out.
        """
        if _US not in installed(python or sys.executable, self.distributions):
            raise EngineError(
                f"{_US} is not installed{at(python)}.", f"Install it beside {self.engine}: pip install {_US}."
            )


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def at(python: str | None) -> str:
    """Where, for a message: empty for this interpreter."""
    return f" for {python}" if python else ""
