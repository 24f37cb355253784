"""``--speedbench-prompts``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_a_subset_is_gated_on_what_it_has_and_says_so(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-prompts=12")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*small: 12 of 36 prompts*"])


@pytest.mark.parametrize(("value", "message"), [("0", "*prompts is 0*"), ("99", "*99 prompts are asked of 36*")])
def test_impossible_numbers(bench: Bench, value: str, message: str) -> None:
    result = bench.run(f"--speedbench-prompts={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
