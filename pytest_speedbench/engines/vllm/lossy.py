"""What makes vLLM's acceptance mean something else. Block verification keeps the target's distribution."""

from __future__ import annotations

from pytest_speedbench.engines.lossy import LOSSY, SYNTHETIC, LossySetting, one_of

SETTINGS = (
    LossySetting("synthetic_acceptance_*", SYNTHETIC),
    LossySetting(
        "rejection_sample_method",
        "makes acceptance up or accepts tokens that the target would not emit",
        one_of("standard", "block", "strict", "probabilistic"),
    ),
    LossySetting("acceptance_method", LOSSY, one_of("rejection_sampler")),
    LossySetting("spec_decoding_acceptance_method", LOSSY, one_of("rejection_sampler")),
)
