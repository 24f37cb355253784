"""When each step's tokens arrived, seen before SGLang merges the outputs of a consumer that lags."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from pytest_speedbench.engines.base import Emission

_HANDLER = "_handle_batch_output"


class StepLog:
    """For every open request, when each step's tokens arrived and how many they were.

    It looks at what the scheduler hands to SGLang's tokenizer manager: one entry per request and step. Without that
    manager's known shape nothing is logged, and emissions are then timed and counted as they come out.
    """

    def __init__(self) -> None:
        self._open: dict[str, deque[tuple[float, int]]] = {}

    def attach(self, manager: Any) -> None:
        """Look at the outputs that reach a tokenizer manager from now on."""
        handle = getattr(manager, _HANDLER, None)
        if handle is None:
            return

        async def observed(outputs: Any) -> None:
            at_s = time.perf_counter()
            for rid, token_ids in zip(outputs.rids, getattr(outputs, "output_ids", None) or (), strict=False):
                if token_ids and rid in self._open:
                    self._open[rid].append((at_s, len(token_ids)))
            await handle(outputs)

        setattr(manager, _HANDLER, observed)

    def open(self, rid: str) -> deque[tuple[float, int]]:
        """Begin to log a request; the steps are taken from the left by whoever reads them."""
        return self._open.setdefault(rid, deque())

    def close(self, rid: str) -> None:
        """Log it no longer."""
        self._open.pop(rid, None)


def by_step(token_ids: tuple[int, ...], steps: deque[tuple[float, int]]) -> list[Emission]:
    """Cut an output, which may hold several steps, into the steps it came from."""
    emissions: list[Emission] = []
    while token_ids and steps and steps[0][1] <= len(token_ids):
        at_s, tokens = steps.popleft()
        emissions.append(Emission(token_ids[:tokens], at_s))
        token_ids = token_ids[tokens:]
    if token_ids:
        emissions.append(Emission(token_ids, time.perf_counter()))
    return emissions
