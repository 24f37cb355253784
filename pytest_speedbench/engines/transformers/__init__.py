"""The embedded engine: Hugging Face transformers in this process, one request at a time. Imports no torch by itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.told import Told
from pytest_speedbench.engines.transformers.checks import check_pair

TOLD = Told("dtype", context_tokens="context_tokens", lacks=("tensor_parallel",))


def check(pair: Pair) -> None:
    """Refuse what can be known without importing torch: see :func:`~.checks.check_pair`.

    Raises:
        EngineError: with the way out.
    """
    check_pair(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: torch or transformers is missing, or an engine argument cannot be used.
    """
    check_pair(pair)
    from pytest_speedbench.engines.transformers.engine import TransformersEngine

    return TransformersEngine(pair)
