"""``--speedbench-where``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def write(bench: Bench) -> None:
    rows: list[dict[str, object]] = [
        {
            "question_id": f"q{n}",
            "category": "coding",
            "difficulty": "hard" if n % 2 else "easy",
            "turns": ["word " * (10 * n + 1), "And?"][: 1 + n // 8],
        }
        for n in range(12)
    ]
    bench.write_split("own.jsonl", rows=list(rows))


@pytest.mark.parametrize(
    ("where", "prompts"),
    [
        ("difficulty=hard", 6),
        ("difficulty=hard,turns>=2", 2),
        ("turns=1", 8),
        ("tokens<=100", 10),
        ("chars<100", 2),
    ],
)
def test_only_prompts_that_meet_it_are_asked(bench: Bench, where: str, prompts: int) -> None:
    write(bench)
    result = bench.run("--speedbench-split=own.jsonl", f"--speedbench-where={where}", "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*({prompts} of 12 prompts where *)", f"*own: {prompts} of 12 prompts*"])


def test_a_part_is_gated_against_the_whole(bench: Bench) -> None:
    write(bench)
    bench.run("--speedbench-split=own.jsonl", "--speedbench-update").assert_outcomes(passed=1)
    result = bench.run("--speedbench-split=own.jsonl", "--speedbench-where=difficulty=hard")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["* coding *6/12 *undecided*"])  # unchanged prompts say nothing of the other half


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("dificulty=hard", "*'dificulty'*Did you mean 'difficulty'?*"),
        ("difficulty=heavy", "*no prompt*difficulty*easy*hard*"),
        ("turns>many", "*turns*many*"),
        ("hard", "*hard*"),
    ],
)
def test_what_cannot_be_met(bench: Bench, where: str, message: str) -> None:
    write(bench)
    result = bench.run("--speedbench-split=own.jsonl", f"--speedbench-where={where}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
