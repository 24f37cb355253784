"""Why vLLM failed, read off what it printed."""

from __future__ import annotations

import re

_RAISED = re.compile(r"\b((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Refusal)): (.+)")
_CONSEQUENCES = (
    "Engine core initialization failed",
    "EngineCore encountered an issue",
    "WorkerProc initialization failed",
)


def root_cause(output: str) -> str:
    """The last exception in the output that is no mere consequence of another process's; empty if there is none.

    vLLM's own process reports only that its engine core failed; the cause is in what the core printed.
    """
    lines = output.splitlines()
    causes: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        raised = _RAISED.search(line)
        if raised is None or any(words in line for words in _CONSEQUENCES):
            continue
        kind, text = raised.groups()
        # pydantic says what is wrong on the line after, and repeats the input in brackets.
        text = following.partition(" [type=")[0] if "validation error" in text else text
        causes.append(f"{kind.rpartition('.')[2]}: {text.strip()}")
    return causes[-1] if causes else ""
