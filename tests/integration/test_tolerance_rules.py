"""Tolerances by metric and category, and those of pairs and splits in ``[tool.speedbench]``."""

from __future__ import annotations

import pytest

from tests.integration.conftest import PYPROJECT, Bench

SHOW = """
import pytest

@pytest.mark.speedbench(tolerance={"coding": "4%", "al_pooled:math": "0.1abs"})
def test_settings(speedbench):
    tolerance = speedbench.settings.tolerance
    print("tolerances", *(tolerance.of("al_pooled", category) for category in ("coding", "math", "multilingual")))
"""
TABLES = """
[tool.speedbench.splits."small.jsonl"]
tolerance = { default = "2%", coding = "9%", multilingual = "9%" }
"""


def test_pairs_splits_marker_and_command_line_add_up(bench: Bench) -> None:
    with_pair = PYPROJECT.replace("[tool.speedbench.pairs.good]", '[tool.speedbench.pairs.good]\ntolerance = "math=3%"')
    bench.pytester.makepyprojecttoml(with_pair + TABLES)
    bench.write_test(SHOW)
    bench.run("-s").stdout.fnmatch_lines(["*tolerances 4.0% 0.1 absolute 9.0%"])
    bench.run("-s", "--speedbench-tolerance=multilingual=5%,al_pooled:coding=6%").stdout.fnmatch_lines(
        ["*tolerances 6.0% 0.1 absolute 5.0%"]
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("al_pooled:mth=5%", "*tolerance is given for 'mth', but *has no such category. Did you mean 'math'?*"),
        ("al_poled:math=5%", "*--speedbench-tolerance *there is no metric 'al_poled'. Did you mean 'al_pooled'?*"),
    ],
)
def test_misspelt_categories_and_metrics(bench: Bench, given: str, message: str) -> None:
    result = bench.run(f"--speedbench-tolerance={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_misspelt_tables(bench: Bench) -> None:
    bench.pytester.makepyprojecttoml(PYPROJECT + '[tool.speedbench.splits.mini]\ntolerence = "2%"\n')
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no setting 'tolerence' in [[]tool.speedbench.splits.mini].*"])
