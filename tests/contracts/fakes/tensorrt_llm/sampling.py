"""Sampling parameters."""

from __future__ import annotations

from typing import Any

from .strict import note

NAMES = (
    *("n", "best_of", "use_beam_search", "beam_search_diversity_rate", "early_stopping", "max_tokens", "min_tokens"),
    *("end_id", "pad_id", "seed", "temperature", "top_k", "top_p", "top_p_decay", "top_p_min", "top_p_reset_ids"),
    *("min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "length_penalty"),
    *("no_repeat_ngram_size", "stop", "stop_token_ids", "include_stop_str_in_output", "bad", "bad_token_ids"),
    *("logits_processor", "apply_batched_logits_processor", "guided_decoding", "embedding_bias", "lookahead_config"),
    *("ignore_eos", "detokenize", "add_special_tokens", "truncate_prompt_tokens", "skip_special_tokens"),
    *("spaces_between_special_tokens", "logprobs", "prompt_logprobs", "return_context_logits"),
    *("return_generation_logits", "exclude_input_from_output", "return_encoder_output", "return_perf_metrics"),
    "additional_model_outputs",
)


class SamplingParams:
    """A dataclass with these fields: another keyword is a TypeError."""

    def __init__(self, **given: Any) -> None:
        for name in given:
            if name not in NAMES:
                raise TypeError(f"SamplingParams.__init__() got an unexpected keyword argument {name!r}")
        note("SamplingParams", given)
        self.max_tokens: int = given.get("max_tokens", 32)
        self.end_id: int | None = given.get("end_id")
        self.stop_token_ids: list[int] = given.get("stop_token_ids") or []
        self.include_stop_str_in_output: bool = given.get("include_stop_str_in_output", False)
        self.ignore_eos: bool = given.get("ignore_eos", False)
        self.return_perf_metrics: bool = given.get("return_perf_metrics", False)
        self.given = given
