"""What makes TensorRT-LLM's acceptance mean something else. The other ``relaxed_`` settings do nothing alone."""

from __future__ import annotations

from pytest_speedbench.engines.lossy import LOSSY, SYNTHETIC, LossySetting, number, one_of

SETTINGS = (
    LossySetting("TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS", SYNTHETIC, number(lambda tokens: tokens == 0)),
    LossySetting("use_relaxed_acceptance_for_thinking", LOSSY),
    LossySetting("posterior_threshold", LOSSY),
    LossySetting("greedy_sampling", LOSSY, one_of("true")),
)
