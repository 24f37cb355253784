"""TensorRT-LLM's HTTP server: started by us, or running already. Imports no HTTP client by itself.

As the ``trtllm`` engine it is held to the published sources by contract tests, and was never run on a GPU by this
project.
"""

from __future__ import annotations

import os

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.fit import check_models
from pytest_speedbench.engines.http.endpoint import check_endpoint
from pytest_speedbench.engines.http.packages import check_packages
from pytest_speedbench.engines.told import Told
from pytest_speedbench.engines.trtllm.checks import check_pair
from pytest_speedbench.engines.trtllm.gpu import check_gpus
from pytest_speedbench.engines.trtllm.mpi import check_one_reporter
from pytest_speedbench.engines.trtllm_serve.command import KEY_VARIABLE, server_program

TOLD = Told("dtype", "tensor_parallel_size", "max_seq_len", reads=("python", "endpoint"))


def check(pair: Pair) -> None:
    """Refuse what can be known without asking any server.

    Raises:
        EngineError: with the way out.
    """
    check_packages("trtllm-serve")
    if pair.endpoint is not None:
        check_endpoint(pair, KEY_VARIABLE)
        check_models(pair)
        return
    check_one_reporter(os.environ)
    check_pair(pair)
    server_program(pair.python)
    check_gpus(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: as from :func:`check`.
    """
    check(pair)
    from pytest_speedbench.engines.trtllm_serve.engine import TrtllmServeEngine

    return TrtllmServeEngine(pair)
