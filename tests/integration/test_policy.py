"""``--speedbench-policy`` and ``--speedbench-family-error``"""

from __future__ import annotations

from tests.integration.conftest import Bench

NOISY = """
import dataclasses

def test_gate(speedbench, speedbench_pairs):
    good = speedbench_pairs["good"]
    again = dataclasses.replace(good, engine_args={**good.engine_args, "noise": 1})
    speedbench.assert_no_regression(pair=again)
"""


def test_what_is_not_proven_fails_under_prove_only(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.write_test(NOISY)
    bench.run().assert_outcomes(passed=1)
    result = bench.run("--speedbench-policy=prove")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*is not shown to be as good as the baseline of good*", "*undecided, and the policy is to pass on proof only*"]
    )


def test_no_change_is_proof(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.run("--speedbench-policy=prove").assert_outcomes(passed=1)


def test_a_wide_tolerance_can_be_proven(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.write_test(NOISY)
    bench.run("--speedbench-policy=prove", "--speedbench-tolerance=60%").assert_outcomes(passed=1)


def test_the_family_error_is_the_one_asked_for(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-family-error=5%")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["good against *, family-wise error 5%"])
