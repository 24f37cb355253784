"""SGLang's engine in a process of its own. Imports neither SGLang nor torch by itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.sglang.checks import check_pair
from pytest_speedbench.engines.sglang.failures import root_cause
from pytest_speedbench.engines.sglang.versions import SGLANG
from pytest_speedbench.engines.told import Told
from pytest_speedbench.engines.worker.client import WorkerEngine

TOLD = Told("dtype", "tp_size", "context_length", reads=("python",))


def check(pair: Pair) -> None:
    """Refuse what can be known without importing SGLang: see :mod:`.checks`.

    Raises:
        EngineError: with the way out.
    """
    check_pair(pair)
    SGLANG.check_hosts_us(pair.python)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: SGLang is missing or of a version that this adapter does not know, or an argument cannot be used.
    """
    check(pair)
    return WorkerEngine(pair, "pytest_speedbench.engines.sglang.engine:SglangEngine", explain=root_cause)
