"""Which TensorRT-LLM is installed, here or in another environment, without importing it."""

from __future__ import annotations

from pytest_speedbench.engines.installed import Supported

Version = tuple[int, ...]

TENSORRT_LLM = Supported("TensorRT-LLM", ("tensorrt_llm",), oldest=(1, 0), newest=(1, 2))
"""The versions whose sources this adapter was written against; ``tests/contracts`` has the facts."""
COUNTS_ALL_DRAFTERS_SINCE: Version = (1, 2)
"""Before it only the n-gram drafter is in the iteration statistics."""
SAMPLES_SINCE: Version = (1, 2)
"""Before it the PyTorch backend's sampler is greedy whatever is asked, or leaves the temperature out."""
CHOOSES_LAYERS_SINCE: Version = (1, 2)
"""Before it an EAGLE-3 head reads the layers that TensorRT-LLM chooses."""
