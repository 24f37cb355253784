"""``--speedbench-sequential``, and the gate that measures as much as its verdict needs."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import CATEGORIES, PROMPTS_PER_CATEGORY, Bench

EARLY = """
def test_gate(speedbench):
    speedbench.assert_no_regression(pair="weak", baseline="good")
"""
REQUESTS = """
from tests.scripted_engine import ScriptedEngine

asked = []
plain = ScriptedEngine.generate

async def counting(self, request):
    asked.append(request.request_id.rpartition("-")[0])
    async for event in plain(self, request):
        yield event

ScriptedEngine.generate = counting

def pytest_terminal_summary(terminalreporter):
    for category in sorted(set(asked)):
        terminalreporter.write_line(f"asked {category} {asked.count(category)}")
"""


def asked(result: pytest.RunResult) -> dict[str, int]:
    lines = [line.split() for line in result.outlines if line.startswith("asked ")]
    return {category: int(count) for _, category, count in lines}


@pytest.fixture
def counting(bench: Bench) -> Bench:
    """A project whose summary says how many requests each category had, and with a baseline of the good pair."""
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.pytester.makeconftest(REQUESTS)
    bench.write_test(EARLY)
    return bench


def test_a_decided_category_is_asked_no_more(counting: Bench) -> None:
    result = counting.run()
    result.assert_outcomes(failed=1)
    counts = asked(result)
    assert counts["multilingual"] < PROMPTS_PER_CATEGORY
    assert counts["coding"] == counts["math"] == PROMPTS_PER_CATEGORY
    result.stdout.fnmatch_lines(
        [
            "*dropped in 1 of 3 categories*",
            f"  multilingual: AL *, {counts['multilingual']} of {PROMPTS_PER_CATEGORY} prompts",
            "multilingual: where the loss lies.*",
            f"Decided before all prompts were asked, at the same error: multilingual {counts['multilingual']} of 12.",
            "*Output TPS –,*",
            "*not all prompts were asked of multilingual, because the gate had decided*",
            f"*multilingual *{counts['multilingual']}/{PROMPTS_PER_CATEGORY}*regression (decided early)*",
        ]
    )


def test_off_asks_every_prompt(counting: Bench) -> None:
    result = counting.run("--speedbench-sequential=off")
    result.assert_outcomes(failed=1)
    assert asked(result) == dict.fromkeys(CATEGORIES, PROMPTS_PER_CATEGORY)
    result.stdout.no_fnmatch_line("*decided early*")


def test_the_same_prompts_in_every_session(counting: Bench) -> None:
    first, second = (asked(counting.run("--speedbench-concurrency=1")) for _ in range(2))
    assert first == second


def test_concurrency_does_not_change_a_decision(counting: Bench) -> None:
    one, eight = (counting.run(f"--speedbench-concurrency={n}") for n in (1, 8))
    decided = [[line for line in result.outlines if "Decided before" in line] for result in (one, eight)]
    assert decided[0] == decided[1] != []


def test_recording_a_baseline_asks_every_prompt(counting: Bench) -> None:
    counting.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    result = counting.run("--speedbench-update", "--speedbench-pair=weak")
    result.assert_outcomes(passed=1)
    assert asked(result) == dict.fromkeys(CATEGORIES, PROMPTS_PER_CATEGORY)
    assert len(json.loads(counting.baseline("weak").read_text())["prompts"]) == 36


def test_a_measurement_made_in_full_is_used_as_it_is(counting: Bench) -> None:
    counting.write_test(
        """
        def test_gate(speedbench):
            full = speedbench.measure(pair="weak")
            result = speedbench.gate(pair="weak", baseline="good")
            assert result == full.gate(baseline="good")
            assert not any(row.stopped for row in result.rows)
        """
    )
    result = counting.run()
    result.assert_outcomes(passed=1)
    assert asked(result) == dict.fromkeys(CATEGORIES, PROMPTS_PER_CATEGORY)


def test_a_stopped_run_is_not_used_for_figures(counting: Bench) -> None:
    counting.write_test(
        """
        def test_gate(speedbench):
            assert speedbench.gate(pair="weak", baseline="good").failed
            assert len(speedbench.measure(pair="weak").run.conversations) == 36
        """
    )
    counting.run().assert_outcomes(passed=1)


def test_nothing_changed_asks_every_prompt_and_passes(counting: Bench) -> None:
    counting.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    result = counting.run()
    result.assert_outcomes(passed=1)
    assert asked(result) == dict.fromkeys(CATEGORIES, PROMPTS_PER_CATEGORY)


def test_without_a_baseline_it_fails_before_measuring(bench: Bench) -> None:
    bench.pytester.makeconftest(REQUESTS)
    bench.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*There is no baseline *"])
    assert asked(result) == {}
