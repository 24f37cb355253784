"""What makes the acceptance of any of the servers mean something else that a pair's command may start."""

from __future__ import annotations

from pytest_speedbench.engines.llamacpp.lossy import SETTINGS as LLAMACPP
from pytest_speedbench.engines.sglang.lossy import SETTINGS as SGLANG
from pytest_speedbench.engines.trtllm.lossy import SETTINGS as TRTLLM
from pytest_speedbench.engines.vllm.lossy import SETTINGS as VLLM

SETTINGS = (*VLLM, *SGLANG, *TRTLLM, *LLAMACPP)
