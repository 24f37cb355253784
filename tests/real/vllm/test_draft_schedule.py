"""Draft lengths by batch size, on real vLLM: rates of what was proposed, and no comparison across loads."""

from __future__ import annotations

import pytest

from pytest_speedbench import Speedbench
from pytest_speedbench.baselines import AcceptanceKey, acceptance_differences
from tests.real.vllm.conftest import vllm_pair

SCHEDULE = [[1, 2, 3], [3, 64, 1]]
"""Three tokens where one or two requests are decoded, one where more are."""


def test_rates_are_of_what_was_proposed_and_loads_are_not_compared(speedbench: Speedbench, vllm_python: str) -> None:
    speculation = {"num_speculative_tokens_per_batch_size": SCHEDULE}
    pair = vllm_pair("scheduled", "eagle3:bundled:eagle3", vllm_python, speculative_config=speculation)
    alone, together = (
        speedbench.measure("mini", pair=pair, concurrency=load, prompts=22, max_tokens=32) for load in (1, 8)
    )
    whole, mostly_one = alone.summary.acceptance.overall, together.summary.acceptance.overall
    assert whole.proposed_tokens == 3 * whole.verify_steps
    assert mostly_one.proposed_tokens is not None
    assert mostly_one.proposed_tokens < 1.5 * mostly_one.verify_steps
    first, second, _ = mostly_one.conditional_rates
    assert first == pytest.approx(whole.conditional_rates[0], abs=0.05)
    assert second is None or second > 0.5, "of the few steps that proposed a second token"
    (found,) = acceptance_differences(AcceptanceKey.of(alone.run), AcceptanceKey.of(together.run))
    assert found.field == "draft lengths by load"
