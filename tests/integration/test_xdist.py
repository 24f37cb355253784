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
