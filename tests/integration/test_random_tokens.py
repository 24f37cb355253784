"""``--speedbench-split=random:TOKENS``: the negative control"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

RANDOM = ("--speedbench-split=random:40x6", "-W", "always::pytest_speedbench.SpeedbenchWarning")


def test_it_warns_and_marks_the_run(bench: Bench) -> None:
    result = bench.run(*RANDOM, "--speedbench-update")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*random-40: 6 prompts*", "* random *6 *", "*note: *no workload*"])
    result.stdout.fnmatch_lines(["*SpeedbenchWarning: *no workload*"])


def test_it_is_the_same_every_time(bench: Bench) -> None:
    bench.run(*RANDOM, "--speedbench-update").assert_outcomes(passed=1, warnings=1)
    bench.run(*RANDOM).assert_outcomes(passed=1, warnings=1)


@pytest.mark.parametrize("given", ["random:", "random:many", "random:0", "random:40x0"])
def test_what_says_no_number(bench: Bench, given: str) -> None:
    result = bench.run(f"--speedbench-split={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: *"])
