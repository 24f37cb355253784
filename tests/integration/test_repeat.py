"""``--speedbench-repeat`` with ``--speedbench-update``: baselines that know how much their pair varies."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_speedbench.sweeps.draft_length import WARM_UP_PROMPTS
from tests.integration.conftest import CATEGORIES, PROMPTS_PER_CATEGORY, Bench

PROMPTS = len(CATEGORIES) * PROMPTS_PER_CATEGORY


def calibration(bench: Bench) -> Any:
    return msgspec.json.decode(bench.baseline().read_bytes()).get("calibration")


def test_a_noisy_pair(bench: Bench) -> None:
    result = bench.run("--speedbench-update", "--speedbench-repeat=3", "--speedbench-engine-args=jitter=0.3")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["baseline written: baselines/good/small.json (calibrated by 3 runs)"])
    found = calibration(bench)
    assert (found["runs"], found["changed_outputs"]) == (3, 0)
    assert found["changed_counts"] == round(sum(map(len, found["repeats"])) / (2 * PROMPTS), 6)
    assert 0.25 < found["changed_counts"] < 0.75  # 1 − 0.7² = 0.51, give or take
    assert found["repeats"][0] != found["repeats"][1]
    assert all(len(speeds) == 3 for speeds in found["rounds"].values())


def test_a_deterministic_pair(bench: Bench) -> None:
    bench.run("--speedbench-update", "--speedbench-repeat=2").assert_outcomes(passed=1)
    found = calibration(bench)
    assert (found["runs"], found["changed_outputs"], found["changed_counts"], found["repeats"]) == (2, 0, 0, [{}])


def test_a_calibrated_baseline_is_gated_with(bench: Bench) -> None:
    bench.run("--speedbench-update", "--speedbench-repeat=3", "--speedbench-engine-args=jitter=0.3")
    bench.run("--speedbench-engine-args=jitter=0.3").assert_outcomes(passed=1)


def test_a_plain_update_drops_a_calibration_and_says_so(bench: Bench) -> None:
    bench.run("--speedbench-update", "--speedbench-repeat=3")
    result = bench.run("--speedbench-update")
    result.stdout.fnmatch_lines(
        ["baseline written: * (the calibration of the replaced one is dropped;*repeat=3 makes*"]
    )
    assert calibration(bench) is None
    bench.run("--speedbench-update").stdout.fnmatch_lines(["baseline written: baselines/good/small.json"])


def test_an_unreadable_baseline_is_replaced(bench: Bench) -> None:
    bench.run("--speedbench-update", "--speedbench-repeat=2")
    bench.baseline().write_text("{")
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    assert calibration(bench) is None


def test_tests_share_the_further_runs(bench: Bench) -> None:
    gate = "def test_{}(speedbench):\n    speedbench.measure().assert_no_regression()\n"
    bench.write_test(gate.format("one") + gate.format("two"))
    asked = WARM_UP_PROMPTS + 2 * PROMPTS
    args = ("--speedbench-update", "--speedbench-repeat=2")
    bench.run(*args, f"--speedbench-engine-args=fail_at={asked}").assert_outcomes(failed=1, passed=1)
    bench.run(*args, f"--speedbench-engine-args=fail_at={asked + 1}").assert_outcomes(passed=2)
    assert calibration(bench)["runs"] == 2


def test_a_run_that_breaks_leaves_no_baseline(bench: Bench) -> None:
    result = bench.run(
        "--speedbench-update",
        "--speedbench-repeat=2",
        f"--speedbench-engine-args=fail_at={WARM_UP_PROMPTS + PROMPTS + 5}",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*broke down*"])
    assert not bench.baseline().exists()


def test_a_run_that_can_be_no_baseline_is_not_repeated(bench: Bench) -> None:
    args = f"--speedbench-engine-args=silent=steps,fail_at={WARM_UP_PROMPTS + PROMPTS + 1}"
    result = bench.run("--speedbench-update", "--speedbench-repeat=2", args)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has no acceptance record for*"])
    result.stdout.no_fnmatch_line("*broke down*")


def test_the_prompts_of_a_larger_baseline_are_kept_before_anything_is_repeated(bench: Bench) -> None:
    bench.run("--speedbench-update")
    args = ("--speedbench-prompts=6", f"--speedbench-engine-args=fail_at={WARM_UP_PROMPTS + 7}")
    result = bench.run("--speedbench-update", "--speedbench-repeat=2", *args)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has 30 prompts that this run did not ask*"])


def test_the_progress_says_which_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_speedbench.report.progress.LOG_INTERVAL_S", 0.0)
    result = bench.run("--speedbench-update", "--speedbench-repeat=3")
    result.stdout.fnmatch_lines(
        [
            "speedbench: good on small: 36/36 prompts*",
            "speedbench: good on small, run 2 of 3: 36/36 prompts*",
            "speedbench: good on small, run 3 of 3: 36/36 prompts*",
        ]
    )
