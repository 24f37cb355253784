"""Decoding configs and engine arguments: which fields they have in which version, and which backend takes them."""

from __future__ import annotations

from typing import Any, ClassVar

from .strict import check_keywords, note, since

_BASE = ("max_draft_len", "speculative_model_dir")
_EAGLE = (
    *(*_BASE, "eagle_choices", "greedy_sampling", "posterior_threshold", "use_dynamic_tree", "dynamic_tree_max_topK"),
    *("num_eagle_layers", "max_non_leaves_per_layer", "eagle3_one_model"),
    *(("max_total_draft_tokens", "eagle3_layers_to_capture", "max_concurrency") if since("1.1+") else ()),
    *(("acceptance_window", "acceptance_length_threshold", "load_format") if since("1.2") else ()),
    *(("allow_advanced_sampling", "draft_len_schedule", "eagle3_model_arch") if since("1.2+") else ()),
)
_ALL_SAMPLING = ("allow_advanced_sampling",) if since("1.2+") else ()


class DecodingConfig:
    """A pydantic model that forbids extra fields."""

    NAMES: ClassVar[tuple[str, ...]]
    BACKENDS: ClassVar[tuple[str, ...]] = ("pytorch",)
    model_fields: ClassVar[dict[str, None]]

    def __init_subclass__(cls) -> None:
        # As of 1.2 the drafter's folder is an alias of a field with another name.
        own = {"speculative_model_dir": "speculative_model"} if since("1.2+") else {}
        cls.model_fields = {own.get(name, name): None for name in cls.NAMES}

    def __init__(self, **given: Any) -> None:
        check_keywords(type(self).__name__, given, self.NAMES)
        self.given = given
        self.draft_length = int(given.get("num_nextn_predict_layers") or given["max_draft_len"])


class DraftTargetDecodingConfig(DecodingConfig):
    """A draft model."""

    NAMES = (*_BASE, *(("max_total_draft_tokens", "max_concurrency", "load_format") if since("1.1+") else ()))


class EagleDecodingConfig(DecodingConfig):
    """EAGLE-3 on the PyTorch backend, EAGLE-1 and EAGLE-2 on the other."""

    NAMES = _EAGLE
    BACKENDS: ClassVar[tuple[str, ...]] = ("pytorch", "tensorrt")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if given.get("speculative_model_dir") is None:
            raise ValueError("Draft model must be provided for EAGLE")
        self.draft_length = int(given.get("num_eagle_layers") or given["max_draft_len"])


class Eagle3DecodingConfig(EagleDecodingConfig):
    """EAGLE-3 under a name of its own."""

    BACKENDS = ("pytorch",)


class MTPDecodingConfig(DecodingConfig):
    """Multi-token prediction."""

    NAMES = (
        *(*_BASE, "num_nextn_predict_layers", "use_relaxed_acceptance_for_thinking", "relaxed_topk", "relaxed_delta"),
        *("use_mtp_vanilla", *(("mtp_eagle_one_model",) if since("1.2") else ()), *_ALL_SAMPLING),
    )


class NGramDecodingConfig(DecodingConfig):
    """Prompt lookup."""

    NAMES = ("max_draft_len", "max_matching_ngram_size", "is_keep_all", "is_use_oldest", "is_public_pool")


class MedusaDecodingConfig(DecodingConfig):
    """Medusa heads."""

    NAMES = (*_BASE, "medusa_choices", "num_medusa_heads")
    BACKENDS = ("tensorrt",)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.draft_length = int(given["num_medusa_heads"])


CLASSES = {
    kind.__name__: kind
    for kind in (
        *(DraftTargetDecodingConfig, EagleDecodingConfig, MTPDecodingConfig, NGramDecodingConfig, MedusaDecodingConfig),
        *((Eagle3DecodingConfig,) if since("1.2+") else ()),
    )
}
ABSENT = {"Eagle3DecodingConfig"} - CLASSES.keys()
"""What other versions have: it may be looked for."""

_BOTH = (
    *("model", "tokenizer", "tokenizer_mode", "skip_tokenizer_init", "trust_remote_code", "tensor_parallel_size"),
    *("dtype", "revision", "tokenizer_revision", "pipeline_parallel_size", "context_parallel_size", "gpus_per_node"),
    *("kv_cache_config", "enable_chunked_prefill", "speculative_config", "max_batch_size", "max_input_len"),
    *("max_seq_len", "max_beam_width", "max_num_tokens"),
)
PYTORCH_NAMES = (
    *(*_BOTH, "moe_cluster_parallel_size", "moe_tensor_parallel_size", "moe_expert_parallel_size"),
    *("enable_attention_dp", "cp_config", "load_format", "guided_decoding_backend", "iter_stats_max_iterations"),
    *("request_stats_max_iterations", "peft_cache_config", "scheduler_config", "cache_transceiver_config"),
    *("gather_generation_logits", "num_postprocess_workers", "postprocess_tokenizer_dir", "reasoning_parser"),
    *("backend", "cuda_graph_config", "disable_overlap_scheduler", "moe_config", "attn_backend"),
    *("enable_iter_perf_stats", "enable_iter_req_stats", "print_iter_log", "torch_compile_config", "enable_autotuner"),
    *("stream_interval", "force_dynamic_quantization", "allreduce_strategy", "checkpoint_loader", "checkpoint_format"),
)
TENSORRT_NAMES = (
    *(*_BOTH, "build_config", "fast_build", "calib_config", "quant_config", "enable_build_cache"),
    *("embedding_parallel_mode", "batching_type", "normalize_log_probs"),
)


class TorchLlmArgs:
    """The arguments of the PyTorch backend."""

    model_fields: ClassVar[dict[str, None]] = dict.fromkeys(PYTORCH_NAMES)


class TrtLlmArgs:
    """The arguments of the TensorRT backend."""

    model_fields: ClassVar[dict[str, None]] = dict.fromkeys(TENSORRT_NAMES)


def check_arguments(subject: str, given: dict[str, Any], names: tuple[str, ...]) -> None:
    """Refuse a keyword as ``LLM`` does.

    Raises:
        ValueError: with its words.
    """
    for name in given:
        if name not in names:
            raise ValueError(f"LLM got invalid argument: {name}")
    note(subject, given)
