"""``--speedbench-columns``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

ROWS = [{"uuid": f"q{n}", "topic": "coding", "ask": f"Question {n}?"} for n in range(4)]
COLUMNS = "--speedbench-columns=question_id=uuid,category=topic,prompt=ask"


def test_a_file_with_other_names(bench: Bench) -> None:
    bench.write_split("own.jsonl", rows=list(ROWS))
    result = bench.run("--speedbench-split=own.jsonl", COLUMNS, "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*own: 4 prompts*", "* coding *4 *"])


def test_columns_belong_to_the_split_they_were_written_for(bench: Bench) -> None:
    bench.write_split("own.jsonl", rows=list(ROWS))
    bench.write_test(
        """
        import pytest

        COLUMNS = {"question_id": "uuid", "category": "topic", "prompt": "ask"}

        @pytest.mark.speedbench(split="own.jsonl", columns=COLUMNS)
        def test_both(speedbench):
            assert len(speedbench.measure().run.conversations) == 4
            assert len(speedbench.measure("small.jsonl").run.conversations) == 36
        """
    )
    bench.run().assert_outcomes(passed=1)


def test_a_column_that_the_file_has_not(bench: Bench) -> None:
    bench.write_split("own.jsonl", rows=list(ROWS))
    result = bench.run("--speedbench-split=own.jsonl", COLUMNS.replace("ask", "asks"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*own.jsonl*'asks'*Did you mean 'ask'?*"])


@pytest.mark.parametrize("given", ["turns", "turns=", "nonsense=ask"])
def test_what_cannot_be_read(bench: Bench, given: str) -> None:
    bench.write_split("own.jsonl", rows=list(ROWS))
    result = bench.run("--speedbench-split=own.jsonl", f"--speedbench-columns={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: *"])
