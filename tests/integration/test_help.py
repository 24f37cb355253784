"""What ``pytest --help`` and ``pytest --markers`` say."""

from __future__ import annotations

import pytest

from pytest_speedbench.options import OPTIONS


def test_every_option_is_in_the_help(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(["speculative-decoding regression tests:"])
    text = result.stdout.str()
    for option in OPTIONS:
        assert (option.flag if option.kind == "flag" else f"{option.flag}={option.metavar}") in text
        assert option.help.split(",")[0].split("%")[0][:30] in " ".join(text.split())


def test_the_marker_is_registered(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.speedbench(engine=..., engine_args=..., *"])


def test_the_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fixtures")
    for name in ("speedbench ", "speedbench_pair ", "speedbench_pairs ", "speedbench_split "):
        result.stdout.fnmatch_lines([f"{name}-- *plugin.py:*"])
