"""``--speedbench-outputs``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

MARKED = """
import pytest

@pytest.mark.speedbench(outputs="note")
def test_gate(speedbench):
    speedbench.assert_no_regression()
"""
COMPARED = """
import dataclasses

def test_two(speedbench, speedbench_pairs):
    good = speedbench_pairs["good"]
    other = dataclasses.replace(good, engine_args={**good.engine_args, "other_target": 36})
    speedbench.compare(good, other).assert_no_regression()
"""
EVERY = "--speedbench-engine-args=dtype=float32,accept=0.9,other_target=36"
SOME = "--speedbench-engine-args=dtype=float32,lossy=math-4/1"


def recorded(bench: Bench) -> None:
    bench.run("--speedbench-engine-args=dtype=float32", "--speedbench-update").assert_outcomes(passed=1)


@pytest.mark.parametrize("sequential", ["on", "off"])
def test_outputs_of_another_target_fail_however_much_is_accepted(bench: Bench, sequential: str) -> None:
    recorded(bench)
    bench.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    result = bench.run(EVERY, f"--speedbench-sequential={sequential}")
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert "greedy outputs differ from those of the baseline of good on small" in text
    assert "(coding), within its first 16 tokens." in text
    assert "does the server serve the pair's model?" in text
    assert "--speedbench-outputs=note" in text
    result.stdout.fnmatch_lines(["FAILED test_drafter.py::test_gate - * greedy outputs differ from*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_few_outputs_that_differ_are_noted(bench: Bench) -> None:
    recorded(bench)
    result = bench.run(SOME)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  note: The output differs from the baseline's in 1 of 36 prompts."])


def test_equal_fails_on_a_single_one(bench: Bench) -> None:
    recorded(bench)
    result = bench.run(SOME, "--speedbench-outputs=equal")
    result.assert_outcomes(failed=1)
    assert "1 of 36 greedy outputs differ" in (text := " ".join(result.stdout.str().split()))
    assert "none may with --speedbench-outputs=equal" in text
    bench.run("--speedbench-outputs=equal").assert_outcomes(passed=1)


def test_note_lets_all_of_them_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(bench)
    result = bench.run(EVERY, "--speedbench-outputs=note")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  note: The output differs from the baseline's in 36 of 36 prompts."])
    monkeypatch.setenv("SPEEDBENCH_OUTPUTS", "note")
    bench.run(EVERY).assert_outcomes(passed=1)


def test_a_marker_and_the_project_can_say_it(bench: Bench) -> None:
    recorded(bench)
    bench.write_test(MARKED)
    bench.run(EVERY).assert_outcomes(passed=1)
    project = bench.path / "pyproject.toml"
    project.write_text(project.read_text().replace("max_tokens = 40", 'max_tokens = 40\noutputs = "equal"'))
    bench.write_test()
    bench.run(SOME).assert_outcomes(failed=1)


def test_two_pairs_measured_together_are_held_to_it_too(bench: Bench) -> None:
    bench.write_test(COMPARED)
    result = bench.run()
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert "36 of 36 greedy outputs differ from those of good on small" in text
    assert "The first is coding-0 (coding), turn 1, at output token 1." in text
    bench.run("--speedbench-outputs=note").assert_outcomes(passed=1)


def test_a_calibrated_baseline_allows_for_what_its_runs_differed_in(bench: Bench) -> None:
    noisy = "--speedbench-engine-args=dtype=float32,unsteady=0.3"
    bench.run(noisy, "--speedbench-update").assert_outcomes(passed=1)
    bench.run(noisy, "--speedbench-engine-args=dtype=float32,unsteady=0.9").assert_outcomes(failed=1)
    bench.run(noisy, "--speedbench-update", "--speedbench-repeat=5").assert_outcomes(passed=1)
    bench.run(noisy).assert_outcomes(passed=1)


def test_what_it_does_not_know_is_refused(bench: Bench) -> None:
    result = bench.run("--speedbench-outputs=equl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: speedbench: --speedbench-outputs is 'equl'. Did you mean 'equal'? Give equal, calibrated or note."]
    )
