"""A verdict needs most of the prompts that it is a verdict on."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench

ENDS = "--speedbench-engine-args=accept=0.7,ends="
NOTE = "--speedbench-outputs=note"


@pytest.mark.parametrize("policy", ["detect", "prove"])
@pytest.mark.parametrize("sequential", ["on", "off"])
def test_outputs_that_end_at_once_are_missing_data(bench: Bench, policy: str, sequential: str) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    options = (f"--speedbench-policy={policy}", f"--speedbench-sequential={sequential}", NOTE)
    result = bench.run(f"{ENDS}11", *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*math*1 of 12 prompts can be compared, and a verdict needs 80%*"])


def test_a_few_prompts_without_data_are_said(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    result = bench.run(f"{ENDS}1", NOTE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*3 prompts were left out: 3 without a verify step now.*"])
    bench.run(f"{ENDS}1", NOTE, "--speedbench-policy=prove").assert_outcomes(failed=1)


@pytest.mark.parametrize("policy", ["detect", "prove"])
def test_a_baseline_cut_to_a_few_prompts_does_not_pass(bench: Bench, policy: str) -> None:
    bench.run("--speedbench-update", "--speedbench-prompts=3").assert_outcomes(passed=1)
    assert len(json.loads(bench.baseline().read_text())["prompts"]) == 3
    result = bench.run(f"--speedbench-policy={policy}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*math*1 of 12 prompts can be compared*", "*11 not in the baseline*"])


STEPLESS = "--speedbench-engine-args=accept=0.7,stepless=10"


@pytest.mark.parametrize("option", ["--speedbench-policy=detect", "--speedbench-policy=prove", "--speedbench-update"])
def test_records_without_a_step_for_long_outputs_neither_pass_nor_become_a_baseline(bench: Bench, option: str) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    stored = bench.baseline().read_bytes()
    result = bench.run(STEPLESS, option)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*0 verify steps accepted 0 draft tokens*Its acceptance record is not of these tokens*"]
    )
    assert bench.baseline().read_bytes() == stored


def test_a_measurement_says_how_many_prompts_have_no_length(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.run(f"{ENDS}11", NOTE).stdout.fnmatch_lines([" coding *12 (11 without) *"])


def test_unchanged_prompts_prove_nothing_of_those_that_were_not_asked(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.run("--speedbench-prompts=12").assert_outcomes(passed=1)
    result = bench.run("--speedbench-prompts=12", "--speedbench-policy=prove")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is not shown to be as good as*"])
