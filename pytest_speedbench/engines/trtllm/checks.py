"""What can be said about a pair before TensorRT-LLM is started."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.fit import check_fit, check_heads, check_kind, check_target
from pytest_speedbench.engines.trtllm.arguments import check_arguments
from pytest_speedbench.engines.trtllm.versions import trtllm_version


def check_pair(pair: Pair) -> None:
    """Check TensorRT-LLM's version, the arguments, and that the checkpoints exist and fit each other.

    A hub id that is not in the local cache is not looked at: it is fetched when the engine starts.

    Raises:
        EngineError: with the way out.
    """
    trtllm_version(pair.python)
    check_arguments(pair)
    check_models(pair)


def check_models(pair: Pair) -> None:
    """Check that the checkpoints exist and fit each other.

    Raises:
        EngineError: with the way out.
    """
    target = open_checkpoint(pair.model, download=False)
    if target is not None:
        check_target(target)
    if pair.drafter is None or pair.drafter.model is None:
        return
    drafter = open_checkpoint(pair.drafter.model, download=False)
    if drafter is not None:
        check_kind(drafter, pair.drafter.method)
        check_heads(drafter, pair.drafter.method, pair.drafter.draft_length)
        if target is not None:
            check_fit(target, drafter, pair.drafter.method)
