"""What shapes a target's output beside its weights, the prompt and the sampling: request fields and engine arguments.

What a pair adds to requests counts, unless it is known not to change what is decoded; of engine arguments those count
that are known to. All that every engine says alike, such as sampling and dtype, has fields of its own in the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_speedbench.redaction import redacted

_REQUEST_FIELDS = "extra_body"
_HARMLESS = frozenset(
    {"user", "priority", "request_id", "rid", "metadata", "store", "service_tier", "safety_identifier"}
    | {"prompt_cache_key", "cache_salt", "session_id", "trace_headers", "id_slot", "data_parallel_rank"}
)
"""Fields of a request that say who asks and when it is answered, not what."""
_SHAPING_ARGS = frozenset(
    # vLLM
    {"generation_config", "hf_overrides", "logits_processors", "lora_modules", "override_generation_config"}
    | {"rope_parameters", "rope_scaling", "rope_theta", "structured_outputs_config"}
    # SGLang
    | {"enable_custom_logit_processor", "json_model_override_args", "lora_paths", "preferred_sampling_params"}
    # TensorRT-LLM
    | {"batched_logits_processor", "lora_config", "model_kwargs"}
    # llama.cpp
    | {"control_vector", "grammar", "grammar_file", "json_schema", "json_schema_file", "logit_bias", "lora"}
    | {"lora_scaled", "rope_freq_base", "rope_freq_scale", "yarn_attn_factor", "yarn_ext_factor"}
)


_SCHEDULES = ("num_speculative_tokens_per_batch_size", "speculative_adaptive", "draft_len_schedule", "max_concurrency")
"""What makes the draft length depend on how many requests are decoded: vLLM's, SGLang's, TensorRT-LLM's names."""
_SPECULATION = ("speculative_config", "speculative-config")


def draft_schedule_of(engine_args: Mapping[str, Any], concurrency: int) -> dict[str, Any] | None:
    """By what draft lengths vary with the load, and the load; ``None`` where every step drafts as much as another.

    The acceptance of such a run is that of its schedule at its load: under another one the same drafter is asked for
    other drafts.
    """
    places = [engine_args]
    for name in _SPECULATION:
        value = engine_args.get(name)
        if isinstance(value, str):
            try:
                value = msgspec.json.decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        if isinstance(value, Mapping):
            places.append(value)
    found = {name: place[name] for place in places for name in _SCHEDULES if place.get(name)}
    if not found:
        return None
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))  # as a file holds it: lists, no tuples
    return {**plain, "concurrency": concurrency}


def shaping_of(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """Of engine arguments those that shape outputs, by name, without secrets; fields of requests one by one."""
    found = {name: value for name, value in engine_args.items() if name in _SHAPING_ARGS and value is not None}
    fields = engine_args.get(_REQUEST_FIELDS)
    if isinstance(fields, Mapping):
        found |= {f"{_REQUEST_FIELDS}.{name}": value for name, value in fields.items() if name not in _HARMLESS}
    return {name: redacted(value, name) for name, value in sorted(found.items())}
