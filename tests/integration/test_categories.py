"""``--speedbench-categories``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_only_these_are_asked_and_gated(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-categories=math,coding")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*small: 24 of 36 prompts*"])
    result.stdout.no_fnmatch_line("*multilingual *regression*")


def test_an_unknown_category(bench: Bench) -> None:
    result = bench.run("--speedbench-categories=maths")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no category 'maths'. Did you mean 'math'?*"])
