"""The packages that an engine behind HTTP needs. Imports none of them."""

from __future__ import annotations

from importlib.util import find_spec

from pytest_speedbench.errors import EngineError

_PACKAGES = {"aiohttp": "aiohttp", "prometheus_client": "prometheus-client"}


def check_packages(engine: str) -> None:
    """Refuse what cannot ask any server. ``engine`` is the engine's registered name.

    Raises:
        EngineError: a package is missing.
    """
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise EngineError(
                f"The {engine} engine needs the package {package}, which is not installed.",
                'Run: pip install "pytest-speedbench[server]".',
            )
