"""``--speedbench-allow-placeholders``"""

from __future__ import annotations

import pytest

from pytest_speedbench.splits.speed_bench import PLACEHOLDER
from tests.integration.conftest import Bench


def write(bench: Bench) -> None:
    rows: list[dict[str, object]] = [
        {
            "question_id": f"{category}-{n}",
            "category": category,
            "turns": [f"{PLACEHOLDER}\n\nx" if n < left else "Yes?"],
        }
        for category, left in (("coding", 2), ("rag", 1), ("math", 0))
        for n in range(3)
    ]
    bench.write_split("raw.jsonl", rows=list(rows))


def test_they_are_refused_with_both_ways_out(bench: Bench) -> None:
    write(bench)
    result = bench.run("--speedbench-split=raw.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*raw.jsonl*3 *placeholder*coding-0*speedbench prepare*--speedbench-allow-placeholders=skip*"]
    )


def test_they_are_left_out_and_counted(bench: Bench) -> None:
    write(bench)
    result = bench.run("--speedbench-split=raw.jsonl", "--speedbench-allow-placeholders=skip", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*raw: 6 prompts*", "*note: 3 placeholder rows*coding 2*rag 1*"])


def test_only_skip_is_known(bench: Bench) -> None:
    result = bench.run("--speedbench-allow-placeholders=yes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--speedbench-allow-placeholders is 'yes'. Write skip*"])
