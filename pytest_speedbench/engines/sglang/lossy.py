"""What makes SGLang's acceptance mean something else."""

from __future__ import annotations

from pytest_speedbench.engines.lossy import LOSSY, SYNTHETIC, LossySetting, number

SETTINGS = (
    LossySetting("SGLANG_SIMULATE_ACC_LEN", SYNTHETIC, number(lambda length: length <= 0)),
    LossySetting("SIMULATE_ACC_LEN", SYNTHETIC, number(lambda length: length <= 0)),  # its name before 0.5
    LossySetting("speculative_accept_threshold_*", LOSSY, number(lambda threshold: threshold == 1)),
)
