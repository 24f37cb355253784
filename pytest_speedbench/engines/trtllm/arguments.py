"""A pair in the words of TensorRT-LLM's engine arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.trtllm.speculation import PYTORCH, TENSORRT, backend, check_speculation
from pytest_speedbench.engines.trtllm.versions import COUNTS_ALL_DRAFTERS_SINCE, Version
from pytest_speedbench.errors import EngineError

_TWO_MODELS = (DrafterMethod.DRAFT_MODEL, DrafterMethod.NGRAM)
"""Drafters outside the target's model, which need the host between two steps."""


def check_arguments(pair: Pair) -> None:
    """Refuse engine arguments that say again, or otherwise, what the pair says, and drafters that are not there.

    Raises:
        EngineError: with the way out.
    """
    if "model" in pair.engine_args:
        raise EngineError("The engine argument model is set by the pair's model.", "Change the pair's model instead.")
    if backend(pair) not in (PYTORCH, TENSORRT):
        raise EngineError(
            f"The engine argument backend is {backend(pair)!r}.", f"Give {PYTORCH} or {TENSORRT}, or leave it out."
        )
    check_speculation(pair)


def engine_arguments(pair: Pair, version: Version) -> dict[str, Any]:
    """Keyword arguments of ``LLM``, all but its decoding config: the user's own win, except what the pair says.

    Blocks of the key-value cache are not reused unless asked for: a prompt that was asked before would skip its
    prefill.

    Raises:
        EngineError: a model does not exist, or arguments contradict the pair.
    """
    check_arguments(pair)
    user = {name: value for name, value in pair.engine_args.items() if name not in ("backend", "speculative_config")}
    arguments: dict[str, Any] = {**_defaults(pair, version), **user}
    cache = user.get("kv_cache_config") or {}
    if not isinstance(cache, Mapping):
        raise EngineError(f"The engine argument kv_cache_config is {cache!r}.", "Give a table.")
    arguments["kv_cache_config"] = {"enable_block_reuse": False, **cache}
    arguments["model"] = str(open_checkpoint(pair.model, download=True).folder)
    return arguments


def counts_iterations(pair: Pair, version: Version) -> bool:
    """Whether the engine counts speculation in its iteration statistics, as far as arguments tell."""
    if backend(pair) != PYTORCH:
        return False
    of_the_drafter = pair.drafter is not None and pair.drafter.method is DrafterMethod.NGRAM
    default = version >= COUNTS_ALL_DRAFTERS_SINCE or of_the_drafter
    return bool(pair.engine_args.get("enable_iter_perf_stats", default))


def _defaults(pair: Pair, version: Version) -> dict[str, Any]:
    if backend(pair) != PYTORCH:
        return {}
    # With and without a drafter alike, so that a speed-up does not depend on what counting costs.
    defaults: dict[str, Any] = {"enable_iter_perf_stats": counts_iterations(pair, version)}
    if pair.drafter is not None and pair.drafter.method in _TWO_MODELS:
        defaults["disable_overlap_scheduler"] = True
    return defaults
