"""A failure is words, once: in full where it failed, its first line in the short summary and in JUnit files."""

from __future__ import annotations

import os
import sys
from xml.etree import ElementTree

import pytest

from tests.integration.conftest import Bench


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_ci_log_shows_it_once(bench: Bench, monkeypatch: pytest.MonkeyPatch, workers: list[str]) -> None:
    monkeypatch.setenv("CI", "true")  # pytest then trims nothing in its short summary
    bench.run("--speedbench-update")
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure(pair="weak").assert_no_regression(baseline="good")
        """
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(bench.path / "site"), *sys.path]))
    result = bench.pytester.runpytest_subprocess("--junitxml=junit.xml", *workers)
    result.assert_outcomes(failed=1)
    shown = result.stdout.str()
    assert shown.count("prompts that moved it most") == 1
    assert "Traceback" not in shown
    result.stdout.fnmatch_lines(["FAILED test_drafter.py::test_gate - multilingual -*% AL macro"])
    failure = ElementTree.parse(bench.path / "junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("multilingual -")
    assert "prompts that moved it most" in (failure.text or "")
