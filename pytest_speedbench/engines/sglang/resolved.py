"""What SGLang made of its arguments, for the record and the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_speedbench.engines.sglang.heads import recorded_layers

_SHAPING = (
    "device",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "context_length",
    "random_seed",
    "tp_size",
    "dp_size",
    "pp_size",
    "ep_size",
    "page_size",
    "max_running_requests",
    "max_total_tokens",
    "chunked_prefill_size",
    "max_prefill_tokens",
    "schedule_policy",
    "disable_radix_cache",
    "disable_overlap_schedule",
    "enable_mixed_chunk",
    "attention_backend",
    "sampling_backend",
    "enable_deterministic_inference",
)
_SPECULATIVE = (
    "speculative_algorithm",
    "speculative_num_steps",
    "speculative_eagle_topk",
    "speculative_num_draft_tokens",
    "speculative_adaptive",
    "speculative_accept_threshold_single",
    "speculative_accept_threshold_acc",
    "speculative_use_rejection_sampling",
    "speculative_token_map",
)
_NGRAM = (
    "speculative_ngram_min_bfs_breadth",
    "speculative_ngram_max_bfs_breadth",
    "speculative_ngram_match_type",
    "speculative_ngram_max_trie_depth",
)
_NO_SETTINGS = ("model_path", "speculative_draft_model_path", "incremental_streaming_output", "skip_tokenizer_init")
"""Where the models are, and how we talk to the engine: neither shapes a measurement."""


def resolved_arguments(resolved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given arguments, and those that shape a measurement as SGLang has them after its own resolution.

    Args:
        resolved: all of SGLang's arguments as its process has them.
        given: what it was given.
    """
    names: tuple[str, ...] = _SHAPING
    if algorithm := resolved.get("speculative_algorithm"):
        names += _SPECULATIVE + (_NGRAM if algorithm == "NGRAM" else ())
    arguments = {name: value for name, value in given.items() if name not in _NO_SETTINGS}
    arguments.update({name: _plain(resolved[name]) for name in names if name in resolved})
    return {**arguments, **recorded_layers(given)}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def devices_used(resolved: Mapping[str, Any]) -> int:
    """Accelerators used. With attention-data-parallelism the ranks share those of tensor parallelism."""
    shared = resolved.get("enable_dp_attention")
    return int(resolved["tp_size"]) * int(resolved["pp_size"]) * (1 if shared else int(resolved["dp_size"]))


def concurrency(states: Sequence[Mapping[str, Any]]) -> int | None:
    """Requests that all data-parallel ranks decode at once, by their states; ``None`` if one does not say."""
    limits = [state.get("effective_max_running_requests_per_dp") for state in states]
    known = [int(limit) for limit in limits if limit is not None]
    return sum(known) if known and len(known) == len(limits) else None
