"""``--speedbench-stop-at-first``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import CATEGORIES, PROMPTS_PER_CATEGORY, Bench
from tests.integration.test_sequential import EARLY, REQUESTS, asked


@pytest.fixture
def counting(bench: Bench) -> Bench:
    """A project whose summary says how many requests each category had, and with a baseline of the good pair."""
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.pytester.makeconftest(REQUESTS)
    bench.write_test(EARLY)
    return bench


def test_nothing_is_asked_once_a_category_regressed(counting: Bench) -> None:
    whole = asked(counting.run("--speedbench-concurrency=1"))
    result = counting.run("--speedbench-concurrency=1", "--speedbench-stop-at-first=on")
    result.assert_outcomes(failed=1)
    counts = asked(result)
    assert counts["multilingual"] == whole["multilingual"]
    assert all(count < PROMPTS_PER_CATEGORY for count in counts.values())
    shown = " ".join(result.stdout.str().split())
    assert "multilingual -" in shown
    assert "(--speedbench-stop-at-first), so these are not decided: coding, math." in shown
    assert "Decided before all prompts were asked, at the same error: multilingual" in shown
    result.stdout.fnmatch_lines(["*multilingual * regression (decided early)*"])
    for line in result.outlines:
        if line.startswith((" coding ", " math ")):
            assert "decided early" not in line
            assert "no regression" not in line


def test_without_a_regression_everything_is_asked(counting: Bench) -> None:
    counting.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    result = counting.run("--speedbench-stop-at-first=on")
    result.assert_outcomes(passed=1)
    assert asked(result) == dict.fromkeys(CATEGORIES, PROMPTS_PER_CATEGORY)


def test_neither_on_nor_off(bench: Bench) -> None:
    result = bench.run("--speedbench-stop-at-first=perhaps")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*stop-at-first*perhaps*"])
