"""The names that ``tensorrt_llm.llmapi`` has."""

from __future__ import annotations

import importlib
from typing import Any

from ..configs import ABSENT, CLASSES
from ..strict import UnknownNameError, note


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name in ABSENT:
        raise AttributeError(name)
    if name == "llm_args":
        note("llmapi", [name])
        return importlib.import_module(f"{__name__}.llm_args_module")
    if name not in CLASSES:
        raise UnknownNameError(f"llmapi has no {name}")
    note("llmapi", [name])
    return CLASSES[name]
