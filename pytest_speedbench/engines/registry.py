"""Engines by name. An adapter module is imported only when its engine is asked for."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from pytest_speedbench.engines.base import EngineFactory
from pytest_speedbench.errors import EngineError, closest

ENTRY_POINT_GROUP = "pytest_speedbench.engines"
"""Where other packages announce engines: the entry point's name is the engine's, its value a module or an object that
is an :class:`~pytest_speedbench.engines.base.EngineFactory`."""

_BUILT_IN = {
    "replay": "pytest_speedbench.engines.replay",
    "transformers": "pytest_speedbench.engines.transformers",
    "vllm": "pytest_speedbench.engines.vllm",
    "vllm-serve": "pytest_speedbench.engines.vllm_serve",
    "sglang": "pytest_speedbench.engines.sglang",
    "sglang-serve": "pytest_speedbench.engines.sglang_serve",
    "trtllm": "pytest_speedbench.engines.trtllm",
    "trtllm-serve": "pytest_speedbench.engines.trtllm_serve",
    "llamacpp": "pytest_speedbench.engines.llamacpp",
    "openai": "pytest_speedbench.engines.openai",
}


def known_engines() -> tuple[str, ...]:
    """The names of all engines, built in and installed, in alphabetical order. Imports none of them."""
    return tuple(sorted({*_BUILT_IN, *_installed()}))


def engine_factory(name: str) -> EngineFactory:
    """The factory of the engine ``name``. A built-in engine cannot be replaced by an installed one.

    Raises:
        EngineError: no such engine, or its package does not import or is no engine.
    """
    if name in _BUILT_IN:
        return cast("EngineFactory", importlib.import_module(_BUILT_IN[name]))
    entry_point = _installed().get(name)
    if entry_point is None:
        known = known_engines()
        raise EngineError(f"There is no engine {name!r}.", f"{closest(name, known)}Choose one of: {', '.join(known)}.")
    try:
        factory = entry_point.load()
    except Exception as error:
        raise EngineError(
            f"The engine {name!r} ({entry_point.value}) does not import: {error}.",
            "Reinstall the package that brings it, or choose another engine.",
        ) from error
    if not (callable(getattr(factory, "check", None)) and callable(getattr(factory, "create", None))):
        raise EngineError(
            f"The engine {name!r} ({entry_point.value}) has no check and create functions.",
            "Ask its authors to make the entry point an EngineFactory.",
        )
    return cast("EngineFactory", factory)


def _installed() -> dict[str, EntryPoint]:
    return {entry_point.name: entry_point for entry_point in entry_points(group=ENTRY_POINT_GROUP)}
