"""Regression tests for speculative decoding.

The names here are the public API; each is imported when it is first used, so that installing the plugin costs a pytest
session nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
    from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling
    from pytest_speedbench.errors import (
        BaselineError,
        ConfigError,
        EngineError,
        NotLosslessError,
        OutputsDifferError,
        RegressionError,
        SpeedbenchError,
        SpeedbenchWarning,
        SplitError,
        VerdictError,
    )
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.measurement import Comparison, Measurement, Speedbench
    from pytest_speedbench.splits import Prompt, Split, SplitSource

_HOMES = {
    "AcceptanceRecord": "acceptance",
    "AcceptanceSource": "acceptance",
    "BaselineError": "errors",
    "Comparison": "measurement",
    "ConfigError": "errors",
    "Drafter": "config",
    "DrafterMethod": "config",
    "EngineError": "errors",
    "Load": "config",
    "Measurement": "measurement",
    "NotLosslessError": "errors",
    "OutputsDifferError": "errors",
    "Pair": "config",
    "Prompt": "splits",
    "RegressionError": "errors",
    "Run": "measure.run",
    "Sampling": "config",
    "Speedbench": "measurement",
    "SpeedbenchError": "errors",
    "SpeedbenchWarning": "errors",
    "Split": "splits",
    "SplitError": "errors",
    "SplitSource": "splits",
    "VerdictError": "errors",
}

__all__ = [
    "AcceptanceRecord",
    "AcceptanceSource",
    "BaselineError",
    "Comparison",
    "ConfigError",
    "Drafter",
    "DrafterMethod",
    "EngineError",
    "Load",
    "Measurement",
    "NotLosslessError",
    "OutputsDifferError",
    "Pair",
    "Prompt",
    "RegressionError",
    "Run",
    "Sampling",
    "Speedbench",
    "SpeedbenchError",
    "SpeedbenchWarning",
    "Split",
    "SplitError",
    "SplitSource",
    "VerdictError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pytest_speedbench' has no attribute {name!r}")
    return getattr(import_module(f"pytest_speedbench.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
