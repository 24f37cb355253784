"""Acceptance without decoding: a drafter judged on stored outputs of its target. Imports no torch by itself.

Under greedy decoding speculation is lossless, so the target's output does not depend on the drafter. Given a stored
output, what any drafter would have had accepted after every token follows from the drafter alone, and the verify steps
from walking the output (:mod:`.walk`). What batching, adaptive drafting and an engine's own integration do is not seen.
"""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.replay.checks import check_pair
from pytest_speedbench.engines.told import Told

TOLD = Told("dtype")
"""The context is that of the stored outputs, and nothing is spread over devices."""


def check(pair: Pair) -> None:
    """Refuse what can be known without importing torch: see :func:`~.checks.check_pair`.

    Raises:
        EngineError: with the way out.
    """
    check_pair(pair)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: as from :func:`check`.
    """
    check_pair(pair)
    from pytest_speedbench.engines.replay.engine import ReplayEngine

    return ReplayEngine(pair)
