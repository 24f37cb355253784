"""What every engine step emitted, seen before vLLM merges the outputs of a consumer that lags."""

from __future__ import annotations

import time
from collections import deque
from typing import Any


class StepLog:
    """For every open request, when each step's tokens arrived and how many they were.

    It looks at what the engine's core hands to vLLM's output processor: one entry per request and step, already cut at
    the end of the sequence. Without that processor's known shape nothing is logged, and emissions are then timed and
    counted as they come out.
    """

    def __init__(self) -> None:
        self._open: dict[str, deque[tuple[float, int]]] = {}

    def attach(self, llm: Any) -> None:
        """Look at the outputs of a vLLM engine from now on."""
        processor = getattr(llm, "output_processor", None)
        process = getattr(processor, "process_outputs", None)
        if processor is None or process is None or not hasattr(processor, "request_states"):
            return

        def observed(outputs: Any, *args: Any, **kwargs: Any) -> Any:
            at_s = time.perf_counter()
            for output in outputs:
                state = processor.request_states.get(output.request_id)
                steps = self._open.get(getattr(state, "external_req_id", output.request_id))
                if steps is not None and output.new_token_ids:
                    steps.append((at_s, len(output.new_token_ids)))
            return process(outputs, *args, **kwargs)

        processor.process_outputs = observed

    def open(self, request_id: str) -> deque[tuple[float, int]]:
        """Begin to log a request; the steps are taken from the left by whoever reads them."""
        return self._open.setdefault(request_id, deque())

    def close(self, request_id: str) -> None:
        """Log it no longer."""
        self._open.pop(request_id, None)
