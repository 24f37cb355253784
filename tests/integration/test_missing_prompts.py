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
