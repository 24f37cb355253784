"""Early decisions on real vLLM: requests of decided categories are aborted, and the engine goes on unharmed."""

from __future__ import annotations

from dataclasses import replace

from pytest_speedbench import Speedbench
from pytest_speedbench.config import Drafter
from tests.real.vllm.conftest import vllm_pair


def test_the_engine_is_whole_after_a_gate_that_stopped_early(speedbench: Speedbench, vllm_python: str) -> None:
    good = vllm_pair("tiny-eagle3", "eagle3:bundled:eagle3", vllm_python)
    candidate = replace(good, drafter=Drafter.parse("ngram"))
    result = speedbench.gate("mini", pair=candidate, concurrency=8)
    stopped = {row.name for row in result.rows if row.stopped}
    assert len(stopped) >= 3
    after = speedbench.measure("mini", pair=candidate, concurrency=8, prompts=22)
    own = vllm_pair("tiny-ngram", "ngram", vllm_python)
    assert after.gate(baseline=own.name).regressed == ()
    assert after.run.counters is not None
