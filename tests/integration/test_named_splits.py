"""``[tool.speedbench.splits.NAME]``"""

from __future__ import annotations

import pytest

from pytest_speedbench.splits import load_split
from tests.integration.conftest import PYPROJECT, Bench

TABLE = """
[tool.speedbench.splits.hard]
source = "small.jsonl"
where = { category = ["math", "coding"] }
"""


def test_a_name_for_a_part_of_a_file(bench: Bench) -> None:
    bench.pytester.makepyprojecttoml(PYPROJECT + TABLE)
    result = bench.run("--speedbench-split=hard", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*hard: 24 of 36 prompts*"])
    assert bench.baseline(split="hard").is_file()


def test_the_command_line_narrows_it_further(bench: Bench) -> None:
    bench.pytester.makepyprojecttoml(PYPROJECT + TABLE)
    result = bench.run(
        "--speedbench-split=hard", "--speedbench-where=category=math|multilingual", "--speedbench-update"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*hard: 12 of 36 prompts*"])


def test_the_expected_content(bench: Bench) -> None:
    right = load_split(str(bench.path / "small.jsonl")).sha256
    bench.pytester.makepyprojecttoml(f'{PYPROJECT}[tool.speedbench.splits."small.jsonl"]\nsha256 = "{right}"\n')
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.write_split("small.jsonl", rows=[{"question_id": "a", "category": "math", "turns": ["Other?"]}])
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*has the content *, but {right[:12]}* is expected*"])


def test_an_unknown_key(bench: Bench) -> None:
    bench.pytester.makepyprojecttoml(PYPROJECT + TABLE + 'colums = { turns = "x" }\n')
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no setting 'colums'*Did you mean 'columns'?*"])
