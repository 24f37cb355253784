"""Names come from files of others: they are shown as they are, and command nothing."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

CATEGORIES = ("[/x]", "math [easy]", "math [hard]", "[bold red]", ":smile:", "::error::planted")


@pytest.fixture
def named(bench: Bench) -> Bench:
    """A project whose split has such categories."""
    bench.write_split(
        "small.jsonl",
        rows=[
            {"question_id": f"{place}-{n}", "category": category, "turns": [f"Question {n} of {category}?"]}
            for place, category in enumerate(CATEGORIES)
            for n in range(5)
        ],
    )
    return bench


@pytest.mark.parametrize("colour", ["yes", "no"])
def test_a_category_is_shown_by_its_whole_name(named: Bench, colour: str) -> None:
    named.run("--speedbench-update").assert_outcomes(passed=1)
    result = named.run(f"--color={colour}")
    result.assert_outcomes(passed=1)
    shown = result.stdout.str()
    for name in ("[/x]", "math [easy]", "math [hard]", "[bold red]", ":smile:", "\\x3a:error::planted"):
        assert f"\n {name} " in shown or f"\n{name} " in shown
    assert "\n::" not in shown


def test_a_failure_names_them_too(named: Bench) -> None:
    named.run("--speedbench-update")
    result = named.run("--speedbench-engine-args=accept=0.05")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "[/x]: AL macro" in text
    assert "\n::" not in text


def test_what_an_engine_says_is_shown_and_commands_nothing(named: Bench) -> None:
    named.write_test(
        """
        from pytest_speedbench import EngineError

        def test_server(speedbench):
            raise EngineError("HTTP 500: \\x1b[2Jno\\n::error::planted", "Look.", "log\\n::set-env::x")
        """
    )
    result = named.run()
    result.assert_outcomes(failed=1)
    shown = result.stdout.str()
    assert "\\x1b[2Jno\n\\x3a:error::planted" in shown
    assert "\x1b[2J" not in shown
    assert "\n::" not in shown
