"""vLLM's HTTP server: started by us, or running already. Imports no HTTP client by itself."""

from __future__ import annotations

from importlib.util import find_spec

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.vllm.checks import check_pair
from pytest_speedbench.engines.vllm_serve.endpoint import check_endpoint
from pytest_speedbench.errors import EngineError

_PACKAGES = {"aiohttp": "aiohttp", "prometheus_client": "prometheus-client"}


def check(pair: Pair) -> None:
    """Refuse what can be known without asking any server.

    Raises:
        EngineError: with the way out.
    """
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise EngineError(
                f"The vllm-serve engine needs the package {package}, which is not installed.",
                'Run: pip install "pytest-speedbench[server]".',
            )
    if pair.endpoint is None:
        check_pair(pair)
    else:
        check_endpoint(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: as from :func:`check`.
    """
    check(pair)
    from pytest_speedbench.engines.vllm_serve.engine import VllmServeEngine

    return VllmServeEngine(pair)
