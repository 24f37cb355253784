"""vLLM's HTTP server: started by us, or running already. Imports no HTTP client by itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.http.endpoint import check_endpoint
from pytest_speedbench.engines.http.packages import check_packages
from pytest_speedbench.engines.told import Told
from pytest_speedbench.engines.vllm.checks import check_drafter, check_pair
from pytest_speedbench.engines.vllm_serve.endpoint import KEY_VARIABLE

TOLD = Told("dtype", "tensor_parallel_size", "max_model_len", reads=("python", "endpoint"))


def check(pair: Pair) -> None:
    """Refuse what can be known without asking any server.

    Raises:
        EngineError: with the way out.
    """
    check_packages("vllm-serve")
    if pair.endpoint is None:
        check_pair(pair)
    else:
        check_endpoint(pair, KEY_VARIABLE)
        check_drafter(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: as from :func:`check`.
    """
    check(pair)
    from pytest_speedbench.engines.vllm_serve.engine import VllmServeEngine

    return VllmServeEngine(pair)
