"""Gating against a file of published figures."""

from __future__ import annotations

import json

from tests.integration.conftest import Bench

AGAINST_TABLE = """
def test_gate(speedbench):
    speedbench.measure().assert_no_regression(table="published.json")
"""


def write_table(bench: Bench, **categories: float) -> None:
    table = {
        "format": "pytest-speedbench published figures",
        "source": "a model card",
        "figure": "al_macro",
        "categories": categories,
        "draft_length": 3,
    }
    (bench.path / "published.json").write_text(json.dumps(table))
    bench.write_test(AGAINST_TABLE)


def test_a_loss_against_a_table_is_found_and_labelled_as_weaker(bench: Bench) -> None:
    write_table(bench, coding=2.0, math=2.0, multilingual=3.9)
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*dropped in 1 of 3 categories against *a model card*", "  multilingual: AL macro 3.900 -> *"]
    )
    result.stdout.fnmatch_lines(["*published figures, which have no prompts*"])


def test_a_table_that_is_met_passes(bench: Bench) -> None:
    write_table(bench, coding=1.5, math=1.5, multilingual=1.5)
    bench.run().assert_outcomes(passed=1)


def test_a_category_that_the_table_lacks_does_not_pass(bench: Bench) -> None:
    write_table(bench, coding=1.5, math=1.5)
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*multilingual: cannot be compared. The table does not have this category*"])


def test_a_file_that_is_not_there(bench: Bench) -> None:
    bench.write_test(AGAINST_TABLE)
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*published.json*"])
    result.stdout.no_fnmatch_line("*Traceback*")
