"""vLLM's asynchronous engine in a process of its own. Imports neither vLLM nor torch by itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.told import Told
from pytest_speedbench.engines.vllm.checks import check_pair
from pytest_speedbench.engines.vllm.failures import root_cause
from pytest_speedbench.engines.vllm.versions import VLLM
from pytest_speedbench.engines.worker.client import WorkerEngine

TOLD = Told("dtype", "tensor_parallel_size", "max_model_len", reads=("python",))


def check(pair: Pair) -> None:
    """Refuse what can be known without importing vLLM: see :mod:`.checks`.

    Raises:
        EngineError: with the way out.
    """
    check_pair(pair)
    VLLM.check_hosts_us(pair.python)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: vLLM is missing or of a version that this adapter does not know, or an argument cannot be used.
    """
    check(pair)
    return WorkerEngine(pair, "pytest_speedbench.engines.vllm.engine:VllmEngine", explain=root_cause)
