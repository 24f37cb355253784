"""TensorRT-LLM's engine in a process of its own. Imports neither TensorRT-LLM nor torch by itself.

It was written against TensorRT-LLM's published sources and is held to them by contract tests. It was never run on a GPU
by this project: ``docs/trtllm.md`` says what that means and how to check it on a machine that has one.
"""

from __future__ import annotations

import os

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.told import Told
from pytest_speedbench.engines.trtllm.checks import check_pair
from pytest_speedbench.engines.trtllm.failures import root_cause
from pytest_speedbench.engines.trtllm.gpu import check_gpus
from pytest_speedbench.engines.trtllm.mpi import check_one_reporter
from pytest_speedbench.engines.trtllm.versions import TENSORRT_LLM
from pytest_speedbench.engines.worker.client import WorkerEngine

TOLD = Told("dtype", "tensor_parallel_size", "max_seq_len", reads=("python",))


def check(pair: Pair) -> None:
    """Refuse what can be known without importing TensorRT-LLM: see :mod:`.checks`.

    Raises:
        EngineError: with the way out.
    """
    check_one_reporter(os.environ)
    check_pair(pair)
    TENSORRT_LLM.check_hosts_us(pair.python)
    check_gpus(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: TensorRT-LLM is missing or of a version that this adapter does not know, there is no GPU, or an
            argument cannot be used.
    """
    check(pair)
    return WorkerEngine(pair, "pytest_speedbench.engines.trtllm.engine:TrtllmEngine", explain=root_cause)
