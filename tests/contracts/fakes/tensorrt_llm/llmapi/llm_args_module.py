"""The names that ``tensorrt_llm.llmapi.llm_args`` has."""

from __future__ import annotations

from typing import Any

from .. import configs
from ..strict import UnknownNameError, note

_CLASSES = {"TorchLlmArgs": configs.TorchLlmArgs, "TrtLlmArgs": configs.TrtLlmArgs}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name not in _CLASSES:
        raise UnknownNameError(f"llmapi.llm_args has no {name}")
    note("llmapi.llm_args", [name])
    return _CLASSES[name]
