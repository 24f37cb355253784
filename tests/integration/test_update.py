"""``--speedbench-update`` and the life of a baseline."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench


def test_a_missing_baseline_fails_with_the_command_that_makes_it(bench: Bench) -> None:
    result = bench.run("-k", "gate")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*There is no baseline *good/small.json. Record one with: pytest *-k gate --speedbench-update*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not bench.baseline().exists()


def test_update_writes_and_the_next_run_passes(bench: Bench) -> None:
    result = bench.run("--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["baseline written: baselines/good/small.json"])
    result = bench.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*no regression*"])
    result.stdout.no_fnmatch_line("*baseline written*")


def test_a_regressed_run_fails_and_does_not_touch_the_baseline(bench: Bench) -> None:
    bench.run("--speedbench-update")
    before = bench.baseline().read_bytes()
    bench.write_test(
        "def test_gate(speedbench):\n    speedbench.measure(pair='weak').assert_no_regression(baseline='good')"
    )
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*multilingual*"])
    assert bench.baseline().read_bytes() == before


def test_a_failing_test_writes_no_baseline(bench: Bench) -> None:
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
            assert False, "something else is wrong"
        """
    )
    result = bench.run("--speedbench-update")
    result.assert_outcomes(failed=1)
    assert not bench.baseline().exists()
    assert not list(bench.path.glob("baselines/**/*"))


def test_a_subset_never_replaces_a_larger_baseline(bench: Bench) -> None:
    bench.run("--speedbench-update")
    before = bench.baseline().read_bytes()
    result = bench.run("--speedbench-update", "--speedbench-prompts=6")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has 30 prompts that this run did not ask*"])
    assert bench.baseline().read_bytes() == before


def test_unused_baselines_are_reported(bench: Bench) -> None:
    bench.run("--speedbench-update")
    other = bench.baseline("old-pair")
    other.parent.mkdir()
    other.write_bytes(bench.baseline().read_bytes())
    result = bench.run()
    result.stdout.fnmatch_lines(["baselines that no test of this session used:", "  old-pair/small.json"])
    for part in (["-k", "gate"], ["test_drafter.py"]):
        bench.run(*part).stdout.no_fnmatch_line("*no test of this session*")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "*is not valid JSON*"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2'), "*written by a newer*Upgrade*"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 0'), "*schema version 0*"),
        (lambda text: "{}", "*is not a pytest-speedbench baseline*"),
    ],
)
def test_damaged_baselines_fail(bench: Bench, damage: object, message: str) -> None:
    bench.run("--speedbench-update")
    assert callable(damage)
    bench.baseline().write_text(damage(bench.baseline().read_text()))
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])


def test_a_baseline_of_another_target_is_not_comparable(bench: Bench) -> None:
    bench.run("--speedbench-update")
    data = json.loads(bench.baseline().read_text())
    data["acceptance_key"]["target_sha256"] = "0" * 64
    bench.baseline().write_text(json.dumps(data))
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable*target weights*"])


def test_the_baseline_folder_is_a_file(bench: Bench) -> None:
    (bench.path / "baselines").write_text("x")
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*baseline folder *baselines is a file*"])
