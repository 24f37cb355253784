"""``--speedbench-tensor-parallel``"""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench


def test_the_engine_is_told_in_its_own_words(bench: Bench) -> None:
    bench.run("--speedbench-tensor-parallel=2", "--speedbench-update").assert_outcomes(passed=1)
    assert json.loads(bench.baseline().read_text())["hardware_key"]["parallelism"] == {"tp_size": 2}


def test_an_engine_that_has_none(bench: Bench) -> None:
    result = bench.run("--speedbench-model=bundled:target", "--speedbench-tensor-parallel=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*The transformers engine has no tensor_parallel, and the pair says 2.*"])
