"""Early decisions on the real family: a planted regression is found before all of its prompts were asked."""

from __future__ import annotations

from dataclasses import replace

from pytest_speedbench import Speedbench
from pytest_speedbench.config import Drafter
from pytest_speedbench.gate import Verdict


def test_prompt_lookup_in_place_of_the_head_is_found_early(speedbench: Speedbench) -> None:
    candidate = replace(speedbench.pairs["tiny-eagle3"], drafter=Drafter.parse("ngram"))
    result = speedbench.gate("mini", pair=candidate)
    stopped = [row for row in result.rows if row.stopped]
    assert len(stopped) >= 3
    assert all(row.verdict is Verdict.REGRESSION and 5 <= row.prompts < row.of_prompts for row in stopped)
    full = speedbench.measure("mini", pair=candidate).gate()
    assert {row.name for row in stopped} <= set(full.regressed)
