"""Where TensorRT-LLM does not sample as it is asked to: there only greedy decoding is let through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.installed import dotted
from pytest_speedbench.engines.trtllm.speculation import PYTORCH, backend, one_model
from pytest_speedbench.engines.trtllm.versions import SAMPLES_SINCE, Version
from pytest_speedbench.errors import UnsupportedError

ALL_SAMPLING = "allow_advanced_sampling"
"""The field of a decoding config that has a drafter inside the target's model sample, where a version has it."""


def greedy_only(pair: Pair, version: Version, fields: Mapping[str, Any]) -> bool:
    """Whether only greedy decoding is what it says.

    Args:
        pair: what is loaded.
        version: of TensorRT-LLM.
        fields: of the pair's decoding config.
    """
    if backend(pair) != PYTORCH:
        return False
    return version < SAMPLES_SINCE or (one_model(pair) and not fields.get(ALL_SAMPLING, False))


def check_sampling(sampling: Sampling, version: Version) -> None:
    """Refuse what is not greedy, where :func:`greedy_only` holds.

    Raises:
        UnsupportedError: with the way out.
    """
    if not sampling.greedy:
        raise UnsupportedError(
            f"TensorRT-LLM {dotted(version)} does not sample this pair at the temperature that it is asked for.",
            f"Measure at temperature 0; from {dotted(SAMPLES_SINCE)} on an EAGLE-3 drafter in a model of its own can "
            "be sampled with: set speculative_config.eagle3_one_model to false.",
        )
