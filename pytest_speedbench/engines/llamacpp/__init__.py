"""llama.cpp's HTTP server: started by us, or running already. Imports no HTTP client by itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.http.packages import check_packages
from pytest_speedbench.engines.llamacpp.checks import check_pair
from pytest_speedbench.engines.told import Told

TOLD = Told(context_tokens="ctx_size", lacks=("tensor_parallel",), reads=("python", "endpoint", "command"))
"""Its files decide the dtype."""


def check(pair: Pair) -> None:
    """Refuse what can be known without asking any server.

    Raises:
        EngineError: with the way out.
    """
    check_packages("llamacpp")
    check_pair(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: as from :func:`check`.
    """
    check(pair)
    from pytest_speedbench.engines.llamacpp.engine import LlamaCppEngine

    return LlamaCppEngine(pair)
