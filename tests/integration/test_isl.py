"""``--speedbench-isl``"""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench


def test_first_turns_have_the_length_and_both_counts_are_recorded(bench: Bench) -> None:
    result = bench.run("--speedbench-isl=60", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*on small-isl60 (36 prompts)*", "*36 *filled*", "*note: *the target reads *tokens of a first turn *to *60."]
    )
    stored = json.loads(bench.baseline(split="small-isl60").read_text())
    for prompt in stored["prompts"]:
        asked, served = prompt["input_length"]["isl_tokens"], prompt["input_length"]["served_tokens"]
        assert 50 <= asked <= 60 < served


def test_it_is_a_split_of_its_own(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    result = bench.run("--speedbench-isl=60")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no baseline*good*small-isl60*"])


def test_the_next_run_is_asked_the_same(bench: Bench) -> None:
    bench.run("--speedbench-isl=60", "--speedbench-update").assert_outcomes(passed=1)
    bench.run("--speedbench-isl=60").assert_outcomes(passed=1)


@pytest.mark.parametrize("given", ["0", "many", "60:cl100k_base", "-5"])
def test_what_is_no_length(bench: Bench, given: str) -> None:
    result = bench.run(f"--speedbench-isl={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: *"])
