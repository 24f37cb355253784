"""A pair in the words of vLLM's engine arguments."""

from __future__ import annotations

from typing import Any

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.fit import check_kind
from pytest_speedbench.engines.vllm.kinds import ALSO, parallel_drafting
from pytest_speedbench.engines.vllm.versions import PER_REQUEST_METRICS_SINCE, VLLM
from pytest_speedbench.errors import EngineError

_OURS = {
    "model": "the pair's model",
    "speculative_config.method": "the pair's drafter",
    "speculative_config.model": "the pair's drafter",
    "speculative_config.num_speculative_tokens": "the pair's draft length",
}
DEFAULT_PROMPT_LOOKUP_MAX = 3
"""n-grams of three tokens down to one, as the transformers engine looks them up."""


def check_arguments(pair: Pair) -> None:
    """Refuse engine arguments that say again, or otherwise, what the pair says.

    Raises:
        EngineError: with the way out.
    """
    args = pair.engine_args
    extra = args.get("speculative_config") or {}
    if not isinstance(extra, dict):
        raise EngineError(
            f"The engine argument speculative_config is {extra!r}.",
            "Give a table, or leave it out: the drafter says it.",
        )
    if extra and pair.drafter is None:
        raise EngineError("There is a speculative_config but no drafter.", "Name a drafter for the pair.")
    given = {*args, *(f"speculative_config.{name}" for name in extra)}
    for name, instead in _OURS.items():
        if name in given:
            raise EngineError(f"The engine argument {name} is set by {instead}.", f"Change {instead} instead.")


def engine_arguments(pair: Pair) -> dict[str, Any]:
    """Keyword arguments of ``AsyncEngineArgs``: the user's own win, except what the pair itself says.

    Prefix caching is off unless asked for: a prompt that was asked before would skip its prefill.

    Raises:
        EngineError: a model does not exist, vLLM is not there, or arguments contradict the pair.
    """
    check_arguments(pair)
    user = dict(pair.engine_args)
    arguments: dict[str, Any] = {"enable_prefix_caching": False, "seed": 0, "disable_log_stats": False, **user}
    arguments["model"] = str(open_checkpoint(pair.model, download=True).folder)
    if pair.drafter is not None:
        arguments["speculative_config"] = _speculative_config(pair)
        if VLLM.version(pair.python) >= PER_REQUEST_METRICS_SINCE:
            arguments.setdefault("per_request_spec_decode_metrics", "detailed")
    return arguments


def _speculative_config(pair: Pair) -> dict[str, Any]:
    if pair.drafter is None:
        raise ValueError("a pair without a drafter does not speculate")
    method = pair.drafter.method
    config: dict[str, Any] = {}
    if method is DrafterMethod.NGRAM:
        config = {"prompt_lookup_max": DEFAULT_PROMPT_LOOKUP_MAX, "prompt_lookup_min": 1}
    extra: Any = pair.engine_args.get("speculative_config") or {}
    config.update(extra)
    # The method is always named: left to itself vLLM takes some drafters for draft models.
    config.update(method=method.value, num_speculative_tokens=pair.drafter.draft_length)
    if pair.drafter.model is not None:
        checkpoint = open_checkpoint(pair.drafter.model, download=True)
        # A hub id was perhaps fetched only now.
        check_kind(checkpoint, method, ALSO)
        config = {**parallel_drafting(checkpoint, extra), **config, "model": str(checkpoint.folder)}
    return config
