"""What TensorRT-LLM made of its arguments, for the record and the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = (
    "dtype",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "context_parallel_size",
    "moe_expert_parallel_size",
    "enable_attention_dp",
    "max_batch_size",
    "max_num_tokens",
    "max_seq_len",
    "enable_chunked_prefill",
)
_PYTORCH_NAMES = ("disable_overlap_scheduler", "enable_iter_perf_stats", "stream_interval")
_CACHE_NAMES = ("enable_block_reuse", "free_gpu_memory_fraction")
_PATHS = ("model", "tokenizer")


def resolved_arguments(args: Any, given: Mapping[str, Any], *, pytorch: bool) -> dict[str, Any]:
    """The given arguments, and those that shape a measurement as ``LLM.args`` has them.

    Args:
        args: the attribute of that name.
        given: keyword arguments of ``LLM``.
        pytorch: whether it runs on the PyTorch backend, which has arguments of its own.
    """
    arguments = {name: value for name, value in given.items() if name not in _PATHS}
    for name in (*_NAMES, *(_PYTORCH_NAMES if pytorch else ())):
        arguments[name] = _plain(getattr(args, name))
    cache = dict(given["kv_cache_config"])
    for name in _CACHE_NAMES:
        cache[name] = _plain(getattr(args.kv_cache_config, name))
    arguments["kv_cache_config"] = cache
    return arguments


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
