"""Where vLLM still knows its steps: before it merges the outputs of a consumer that lags."""

from __future__ import annotations

import time
from typing import Any

from pytest_speedbench.engines.steps import OpenSteps


class StepLog(OpenSteps):
    """For every open request, when each step's tokens arrived and how many they were.

    It looks at what the engine's core hands to vLLM's output processor: one entry per request and step, already cut at
    the end of the sequence. Without that processor's known shape nothing is logged, and emissions are then timed and
    counted as they come out.
    """

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
                name = getattr(state, "external_req_id", output.request_id)
                self.add(name, at_s, len(output.new_token_ids))
            return process(outputs, *args, **kwargs)

        processor.process_outputs = observed
