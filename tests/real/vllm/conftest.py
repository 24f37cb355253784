"""Real vLLM. Set TEST_VLLM_PYTHON to the interpreter of an environment that has it; a CPU build does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pytest_speedbench import Pair
from pytest_speedbench.config import Drafter, EngineArg

ENGINE_ARGS: dict[str, EngineArg] = {"dtype": "float32", "enforce_eager": True, "max_num_batched_tokens": 16384}
"""No prefill is cut into chunks: vLLM computes the drafter's key-value row at a cut from another token, and a prompt's
counts would then depend on what else was in the batch."""

SLOW = pytest.mark.skipif(not os.environ.get("TEST_SLOW"), reason="minutes more on vLLM: set TEST_SLOW")


@pytest.fixture(scope="session", autouse=True)
def _small_and_offline() -> Iterator[None]:
    """A key-value cache that fits a small machine, and no look-ups on a hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The interpreter that has vLLM."""
    python = os.environ.get("TEST_VLLM_PYTHON")
    if not python:
        pytest.skip("TEST_VLLM_PYTHON names no interpreter of an environment with vLLM")
    return python


def vllm_pair(name: str, drafter: str | None, python: str, **engine_args: EngineArg) -> Pair:
    """A pair of the bundled family on vLLM in float32, whose greedy output is deterministic."""
    return Pair(
        name=f"vllm-{name}",
        engine="vllm",
        model="bundled:target",
        drafter=Drafter.parse(drafter) if drafter else None,
        engine_args={**ENGINE_ARGS, **engine_args},
        python=python,
    )
