"""What makes llama.cpp's acceptance mean something else."""

from __future__ import annotations

from pytest_speedbench.engines.lossy import SYNTHETIC, LossySetting, number

SETTINGS = (
    LossySetting("spec_synth_*", SYNTHETIC, number(lambda length: length <= 0)),
    LossySetting("LLAMA_ARG_SPEC_SYNTH_*", SYNTHETIC, number(lambda length: length <= 0)),
    LossySetting("synth_*", SYNTHETIC, number(lambda length: length <= 0)),  # what it prints
)
