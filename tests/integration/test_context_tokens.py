"""``--speedbench-context-tokens``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_the_engine_takes_no_longer_sequences(bench: Bench) -> None:
    result = bench.run("--speedbench-context-tokens=45")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*45*"])


def test_an_engine_that_takes_shorter_ones_is_refused(bench: Bench) -> None:
    result = bench.run("--speedbench-context-tokens=4097")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The pair 'good' says context_tokens = 4097, and the engine runs with 4096.*"])


def test_no_number(bench: Bench) -> None:
    result = bench.run("--speedbench-context-tokens=long")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--speedbench-context-tokens is 'long', which is no whole number.*"])
