"""Why SGLang failed, read off what it printed."""

from __future__ import annotations

import re

_RAISED = re.compile(r"\b(?:\w+\.)*([A-Za-z]\w*(?:Error|Exception)): (.+)")
_CONSEQUENCES = (
    "scheduler died during initialization",
    "Initialization failed. Please see the error messages above",
    "Pyspy failed",
)


def root_cause(output: str) -> str:
    """The last exception in the output that is no mere consequence of another process's; empty if there is none.

    A scheduler that fails takes the other processes down with it, and these print exceptions of their own.
    """
    causes = [
        f"{raised.group(1)}: {raised.group(2).strip()}"
        for line in output.splitlines()
        if (raised := _RAISED.search(line)) and not any(words in line for words in _CONSEQUENCES)
    ]
    return causes[-1] if causes else ""
