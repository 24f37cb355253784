"""``--speedbench-max-tokens``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_it_caps_every_turn_and_is_part_of_the_key(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-max-tokens=10")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable*output limit in tokens: 40 in the baseline, 10 now*"])
    result.stdout.fnmatch_lines(["*at most 10 tokens a turn*"])


def test_a_prompt_that_does_not_fit(bench: Bench) -> None:
    result = bench.run("--speedbench-max-tokens=4096")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*but the target's context is 4096*"])


def test_zero(bench: Bench) -> None:
    result = bench.run("--speedbench-max-tokens=0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
