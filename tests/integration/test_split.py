"""``--speedbench-split`` and the ``speedbench_split`` fixture"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_a_bundled_split(bench: Bench) -> None:
    result = bench.run("--speedbench-split=mini", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*mini: 176 prompts*"])


def test_an_unknown_split(bench: Bench) -> None:
    result = bench.run("--speedbench-split=minni")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*There is no split 'minni'*Did you mean 'mini'?*"])


def test_an_empty_split(bench: Bench) -> None:
    bench.write_split("empty.jsonl", rows=[])
    result = bench.run("--speedbench-split=empty.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*empty.jsonl is empty*"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question_id": "a", "category": "c"}], "*line 1: no column has the prompt*"),
        ([{"question_id": "a", "category": "c", "turns": []}], "*has no turns*"),
        ([{"question_id": "a", "category": "c", "turns": ["x"]}] * 2, "*line 2: question_id 'a' was used in line 1*"),
    ],
)
def test_bad_rows(bench: Bench, rows: list[dict[str, object]], message: str) -> None:
    bench.write_split("bad.jsonl", rows=list(rows))
    result = bench.run("--speedbench-split=bad.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_the_loader_fixture(bench: Bench) -> None:
    bench.write_test(
        """
        def test_split(speedbench_split):
            assert len(speedbench_split("mini").categories) == 11
            assert len(speedbench_split("small.jsonl")) == 36
        """
    )
    bench.run().assert_outcomes(passed=1)


def test_a_split_of_changed_content_is_not_comparable(bench: Bench) -> None:
    bench.run("--speedbench-update")
    path = bench.path / "small.jsonl"
    path.write_text(path.read_text().replace("Question 3 of math?", "Another question?"))
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable*content of the split*"])
