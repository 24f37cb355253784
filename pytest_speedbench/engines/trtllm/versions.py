"""Which TensorRT-LLM is installed, here or in another environment, without importing it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from pytest_speedbench.engines.installed import at, installed
from pytest_speedbench.engines.installed import check_hosts_us as hosts_us
from pytest_speedbench.errors import EngineError

Version = tuple[int, int]

OLDEST: Version = (1, 0)
NEWEST: Version = (1, 2)
"""The versions whose sources this adapter was written against, inclusive; ``tests/contracts`` has the facts."""
COUNTS_ALL_DRAFTERS_SINCE: Version = (1, 2)
"""Before it only the n-gram drafter is in the iteration statistics."""
SAMPLES_SINCE: Version = (1, 2)
"""Before it the PyTorch backend's sampler is greedy whatever is asked, or leaves the temperature out."""
CHOOSES_LAYERS_SINCE: Version = (1, 2)
"""Before it an EAGLE-3 head reads the layers that TensorRT-LLM chooses."""

_DISTRIBUTION = "tensorrt_llm"
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\D.*)?")


def check_hosts_us(python: str | None) -> None:
    """Refuse an interpreter that lacks this package and so cannot host an engine of ours.

    Raises:
        EngineError: with the way out.
    """
    hosts_us(_installed(python or sys.executable), python, "TensorRT-LLM")


def trtllm_version(python: str | None) -> Version:
    """Major and minor version of the TensorRT-LLM that the interpreter ``python`` (``None``: this one) would import.

    Raises:
        EngineError: the interpreter does not run, lacks TensorRT-LLM, or has one that is not supported.
    """
    text = _installed(python or sys.executable).get(_DISTRIBUTION)
    if text is None:
        raise EngineError(
            f"TensorRT-LLM is not installed{at(python)}.",
            "Install it there, or name the interpreter that has it with --speedbench-python.",
        )
    release = _RELEASE.fullmatch(text)
    if release is None:
        raise EngineError(f"The installed TensorRT-LLM{at(python)} has the version {text!r}.", _supported())
    version = int(release.group(1)), int(release.group(2))
    if not OLDEST <= version <= NEWEST:
        raise EngineError(
            f"TensorRT-LLM {text} is installed{at(python)}, which this adapter does not know.", _supported()
        )
    return version


def dotted(version: Version) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def _supported() -> str:
    return f"Install a version from {dotted(OLDEST)} to {dotted(NEWEST)}."


def _installed(python: str) -> Mapping[str, str]:
    return installed(python, (_DISTRIBUTION,))
