"""``--speedbench-concurrency``"""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench


def test_it_is_used_shown_and_recorded(bench: Bench) -> None:
    result = bench.run("--speedbench-concurrency=4", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*concurrency 4*"])
    assert json.loads(bench.baseline().read_text())["hardware_key"]["concurrency"] == 4


def test_acceptance_is_comparable_across_concurrencies(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.run("--speedbench-concurrency=4").assert_outcomes(passed=1)


def test_the_transformers_engine_takes_one_request_at_a_time(bench: Bench) -> None:
    result = bench.run("--speedbench-pair=tiny-ngram", "--speedbench-concurrency=2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*decodes at most 1 request at a time, but a concurrency of 2 is asked*"])


@pytest.mark.parametrize("value", ["0", "-2", "2.5"])
def test_no_concurrency(bench: Bench, value: str) -> None:
    result = bench.run(f"--speedbench-concurrency={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--speedbench-concurrency is *"])
