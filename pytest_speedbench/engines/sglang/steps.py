"""Where SGLang still knows its steps: before it merges the outputs of a consumer that lags."""

from __future__ import annotations

import time
from typing import Any

from pytest_speedbench.engines.steps import OpenSteps

_HANDLER = "_handle_batch_output"


class StepLog(OpenSteps):
    """For every open request, when each step's tokens arrived and how many they were.

    It looks at what the scheduler hands to SGLang's tokenizer manager: one entry per request and step. Without that
    manager's known shape nothing is logged, and emissions are then timed and counted as they come out.
    """

    def attach(self, manager: Any) -> None:
        """Look at the outputs that reach a tokenizer manager from now on."""
        handle = getattr(manager, _HANDLER, None)
        if handle is None:
            return

        async def observed(outputs: Any) -> None:
            at_s = time.perf_counter()
            for rid, token_ids in zip(outputs.rids, getattr(outputs, "output_ids", None) or (), strict=False):
                self.add(rid, at_s, len(token_ids or ()))
            await handle(outputs)

        setattr(manager, _HANDLER, observed)
