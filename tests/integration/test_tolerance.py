"""``--speedbench-tolerance``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

CANDIDATE = """
def test_gate(speedbench):
    speedbench.measure(pair="weak").assert_no_regression(baseline="good")
"""


def test_a_tolerance_for_one_category(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.write_test(CANDIDATE)
    bench.run().assert_outcomes(failed=1)
    bench.run("--speedbench-tolerance=2%,multilingual=80%").assert_outcomes(passed=1)
    bench.run("--speedbench-tolerance=2%,math=80%").assert_outcomes(failed=1)


@pytest.mark.parametrize("value", ["much", "-1%", "100%", "qa=1%,qa=2%"])
def test_no_tolerance(bench: Bench, value: str) -> None:
    result = bench.run(f"--speedbench-tolerance={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--speedbench-tolerance *"])


def test_a_category_that_the_split_does_not_have(bench: Bench) -> None:
    result = bench.run("--speedbench-tolerance=2%,multilingul=80%")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*tolerance is given for 'multilingul', but *has no such category. Did you mean 'multilingual'?*"]
    )
