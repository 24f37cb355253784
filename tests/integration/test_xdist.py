"""Tests spread over processes."""

from __future__ import annotations

import os
import sys

import pytest

from tests.integration.conftest import Bench


def test_figures_and_baselines_come_back_from_the_workers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(bench.path / "site"), *sys.path]))
    bench.write_test(
        """
        import pytest

        @pytest.mark.parametrize("pair", ["good", "weak"])
        def test_gate(speedbench, pair):
            speedbench.measure(pair=pair).assert_no_regression()
        """
    )
    run = bench.pytester.runpytest_subprocess
    result = run("-n2", "--speedbench-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*= speedbench =*", "baseline written: baselines/good/small.json"])
    result = run("-n2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*good against*", "*no regression*"])
    result.stdout.no_fnmatch_line("*no test of this session used*")


SPREAD = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_measures(speedbench, number):
    speedbench.measure()
    {}

@pytest.mark.parametrize("number", range(4))
def test_other(number):
    pass
"""
SPEED = 'speedbench.compare("good", "weak").speed(3)'


@pytest.fixture
def spread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The project where worker processes find the scripted engine."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(bench.path / "site"), *sys.path]))
    return bench


def test_tests_that_measure_share_one_worker(spread: Bench) -> None:
    spread.write_test(SPREAD.format(SPEED))
    result = spread.pytester.runpytest_subprocess("-n2", "-v", "-p", "no:hypothesispytest", "--speedbench-prompts=3")
    result.assert_outcomes(passed=8)
    workers = {line.split("]")[0] for line in result.outlines if "test_measures" in line and "PASSED" in line}
    assert len(workers) == 1
    result.stdout.no_fnmatch_line("*side by side*")


def test_where_they_do_not_it_is_said_and_no_speed_is_measured(spread: Bench) -> None:
    spread.write_test(SPREAD.format(SPEED))
    result = spread.pytester.runpytest_subprocess("-n2", "--dist=worksteal", "--speedbench-prompts=3")
    result.assert_outcomes(passed=4, failed=4, warnings=4)
    result.stdout.fnmatch_lines(
        ["speedbench: 2 workers may measure side by side: *", "*Speeds are not measured while 2 workers *"]
    )
