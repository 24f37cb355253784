"""SGLang's HTTP server: started by us, or running already. Imports no HTTP client by itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.http.endpoint import check_endpoint
from pytest_speedbench.engines.http.packages import check_packages
from pytest_speedbench.engines.sglang.checks import check_drafter, check_pair
from pytest_speedbench.engines.sglang_serve.endpoint import KEY_VARIABLE
from pytest_speedbench.engines.told import Told

TOLD = Told("dtype", "tp_size", "context_length", reads=("python", "endpoint"))


def check(pair: Pair) -> None:
    """Refuse what can be known without asking any server.

    Raises:
        EngineError: with the way out.
    """
    check_packages("sglang-serve")
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
    from pytest_speedbench.engines.sglang_serve.engine import SglangServeEngine

    return SglangServeEngine(pair)
