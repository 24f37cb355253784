"""What can be said about a replay before torch is imported."""

from __future__ import annotations

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.fit import check_fit, check_heads, check_kind, check_target
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.transformers.checks import check_packages
from pytest_speedbench.errors import EngineError

_METHODS = (DrafterMethod.NGRAM, DrafterMethod.DRAFT_MODEL, DrafterMethod.EAGLE3, DrafterMethod.MEDUSA)
_LOOKUP_ENGINES = ("transformers", "vllm", "vllm-serve")
"""Engines that look up the longest last n-gram where it stood first."""


def check_pair(pair: Pair) -> None:
    """Check arguments, and that the drafter is one that can be replayed.

    Raises:
        EngineError: with the way out.
    """
    options = ReplayOptions.parse(pair.engine_args)
    if pair.drafter is None:
        raise EngineError(f"The pair {pair.name!r} has no drafter to replay.", "Name one.")
    method = pair.drafter.method
    if method not in _METHODS:
        raise EngineError(
            f"The drafter {method.value!r} cannot be replayed.",
            f"Decode with it; replayed are {', '.join(known.value for known in _METHODS)}.",
        )
    if method is DrafterMethod.NGRAM:
        if options.engine not in _LOOKUP_ENGINES:
            raise EngineError(
                f"The engine {options.engine} looks n-grams up by rules of its own, which are not replayed.",
                f"Decode with it; replayed are the rules of {' and '.join(_LOOKUP_ENGINES[:2])}.",
            )
        return
    check_packages()
    target = open_checkpoint(pair.model, download=False)
    drafter = open_checkpoint(str(pair.drafter.model), download=False)
    if target is not None:
        check_target(target)
    if drafter is not None:
        check_kind(drafter, method)
        check_heads(drafter, method, pair.drafter.draft_length)
    if target is not None and drafter is not None:
        check_fit(target, drafter, method)
