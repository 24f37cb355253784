"""Why TensorRT-LLM failed, read off what it printed."""

from __future__ import annotations

import re

_RAISED = re.compile(r"\b(?:\w+\.)*([A-Za-z]\w*(?:Error|Exception)): (.+)")
_CONSEQUENCES = (
    "Executor worker returned error",
    "Executor worker died during initialization",
    "Failed to parse the arguments for the LLM constructor",
)


def root_cause(output: str) -> str:
    """The last exception in the output that is no mere consequence of another process's; empty if there is none.

    The engine's own process reports only that a worker failed; the cause is in what the worker printed.
    """
    causes = [
        f"{raised.group(1)}: {raised.group(2).strip()}"
        for line in output.splitlines()
        if (raised := _RAISED.search(line)) and not any(words in line for words in _CONSEQUENCES)
    ]
    return causes[-1] if causes else ""
