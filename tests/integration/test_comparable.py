"""What is not comparable is refused, and before anything is measured where it is known by then."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import GATE_TEST, Bench

DIRECT_TEST = """
def test_gate(speedbench):
    speedbench.assert_no_regression()
"""


@pytest.mark.parametrize("sequential", ["on", "off"])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("draft-length=5", "draft length: 3 in the baseline, 5 now"),
        ("max-tokens=30", "output limit in tokens: 40 in the baseline, 30 now"),
        ('engine-args={"extra_body": {"stop": ["x"]}}', 'extra_body.stop: none in the baseline, ?"x"? now'),
    ],
)
def test_what_settings_tell_is_refused_before_the_engine_starts(
    bench: Bench, option: str, words: str, sequential: str
) -> None:
    bench.write_test(DIRECT_TEST)
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    result = bench.run(f"--speedbench-{option}", f"--speedbench-sequential={sequential}")
    result.assert_outcomes(failed=1)
    refusal = "A run of 'good' is not comparable with the baseline of 'good' on 'small'"
    result.stdout.fnmatch_lines([f"{refusal}: {words}.*"])
    result.stdout.no_fnmatch_line("*AL macro*")
    result.stdout.no_fnmatch_line("*decision*")


def test_a_changed_split_is_refused_before_the_engine_starts(bench: Bench) -> None:
    bench.write_test(DIRECT_TEST)
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    path = bench.path / "small.jsonl"
    path.write_text(path.read_text().replace("Question 1 of", "Question one of"))
    result = bench.run()
    result.stdout.fnmatch_lines(["A run of 'good' is not comparable with *: content of the split: sha256 *"])
    result.stdout.no_fnmatch_line("*AL macro*")


@pytest.mark.parametrize("sequential", ["on", "off"])
def test_without_a_baseline_nothing_is_measured(bench: Bench, sequential: str) -> None:
    bench.write_test(DIRECT_TEST)
    result = bench.run(f"--speedbench-sequential={sequential}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["There is no baseline *good/small.json. Record one with: pytest *--speedbench-update"])
    result.stdout.no_fnmatch_line("*AL macro*")


def test_end_tokens_that_changed(bench: Bench) -> None:
    bench.write_test(GATE_TEST)
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    result = bench.run("--speedbench-engine-args=end=3")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["This run of 'good' is not comparable with *: end tokens: 0 in the baseline, 3 now.*"])


def test_a_baseline_of_before_they_were_recorded(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    stored = json.loads(bench.baseline().read_text())
    for name in ("end_token_ids", "shaping", "dtype"):
        del stored["acceptance_key"][name]
    bench.baseline().write_text(json.dumps(stored))
    result = bench.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  note: Whether the same tokens end an output on both sides is not known: *"])
