"""``--speedbench-prompts``"""

from __future__ import annotations

from collections.abc import Mapping

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


@pytest.mark.parametrize(
    "test",
    [
        '@pytest.mark.speedbench(split="large.jsonl")\ndef test_it(speedbench):\n    speedbench.measure()',
        'def test_it(speedbench):\n    speedbench.measure("large.jsonl")',
        'def test_it(speedbench):\n    speedbench.measure(split="large.jsonl")',
        'SPLIT = "large.jsonl"\n\ndef test_it(speedbench):\n    speedbench.measure(SPLIT)',
        '@pytest.fixture\ndef large(speedbench):\n    return speedbench.measure("large.jsonl")\n\n'
        "def test_it(large):\n    assert len(large.run.conversations) == 60",
    ],
)
def test_a_number_is_judged_against_what_tests_ask_and_not_against_the_default(bench: Bench, test: str) -> None:
    rows: list[Mapping[str, object]] = [
        {"question_id": f"q{n}", "category": "qa", "turns": [f"Question {n}?"]} for n in range(64)
    ]
    bench.write_split("large.jsonl", rows=rows)
    bench.pytester.makepyfile(test_drafter=f"import pytest\n\n{test}")
    result = bench.run("--speedbench-prompts=60")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*large: 60 of 64 prompts*"])
    assert "on small" not in result.stdout.str()


def test_a_number_that_the_tests_own_split_has_not_fails_that_test(bench: Bench) -> None:
    bench.write_test('def test_it(speedbench):\n    speedbench.measure("small.jsonl")')
    result = bench.run("--speedbench-prompts=99")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*99 prompts are asked of 36*"])
