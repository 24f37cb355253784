"""What vLLM made of its arguments, for the record and the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "model_config": ("dtype", "max_model_len", "quantization", "enforce_eager", "seed"),
    "cache_config": ("block_size", "cache_dtype", "enable_prefix_caching"),
    "scheduler_config": ("max_num_seqs", "max_num_batched_tokens", "enable_chunked_prefill", "async_scheduling"),
    "parallel_config": (
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "enable_expert_parallel",
        "distributed_executor_backend",
    ),
    "observability_config": ("per_request_spec_decode_metrics",),
}


def resolved_arguments(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given arguments, and those that shape a measurement as vLLM's config has them after its own resolution."""
    arguments = {name: value for name, value in given.items() if name not in ("model", "disable_log_stats")}
    for section, names in _FIELDS.items():
        for name in names:
            value = getattr(getattr(config, section), name, None)
            arguments[name] = str(value).removeprefix("torch.") if name == "dtype" else _plain(value)
    if config.speculative_config is not None:
        speculation = dict(arguments.get("speculative_config") or {})
        speculation.pop("model", None)
        # vLLM goes by the checkpoint, whatever it was asked for.
        if (method := getattr(config.speculative_config, "method", None)) is not None:
            speculation["method"] = method
        arguments["speculative_config"] = speculation
    return arguments


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
