"""``--speedbench-draft-length``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_it_is_used_and_shown(bench: Bench) -> None:
    result = bench.run("--speedbench-draft-length=5", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["good: bundled:target + ngram, K = 5", "*AR@5*"])


def test_another_draft_length_is_not_comparable(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-draft-length=2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable*draft length: 3 in the baseline, 2 now*"])


@pytest.mark.parametrize("value", ["0", "-1", "three"])
def test_no_draft_length(bench: Bench, value: str) -> None:
    result = bench.run(f"--speedbench-draft-length={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: --speedbench-draft-length is *"])


def test_none_is_drafted(bench: Bench) -> None:
    result = bench.run("--speedbench-drafter=none", "--speedbench-draft-length=3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--speedbench-draft-length contradicts the drafter 'none'*"])
