"""What a replay of drawn drafts shows: the draw that its records are, beside the expectation."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_speedbench.engines.replay.expected import Expected, ExpectedAcceptance, expected_al_macro
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.acceptance import summarize_acceptance
from pytest_speedbench.report.terminal import ABSENT, figure_table, number, render


def expected_lines(run: Run, expected: Mapping[str, ExpectedAcceptance], *, width: int, colour: bool) -> list[str]:
    """The acceptance length of every category as it was drawn and as it is expected given the outputs.

    Args:
        run: a replay of drawn drafts.
        expected: by question id, of all its conversations.
        width: columns of the terminal.
        colour: whether it shows colours.
    """
    drawn = summarize_acceptance(run.conversations)
    table = figure_table("AL macro", "drawn", "expected", "SD of a draw")
    for category, figures in drawn.by_category.items():
        found = [expected[conversation.question_id] for conversation in run.in_category(category)]
        table.add_row(category, number(figures.al_macro, 3), *_cells(expected_al_macro(found)))
    table.add_section()
    table.add_row("overall", number(drawn.overall.al_macro, 3), *_cells(expected_al_macro(expected.values())))
    return [
        f"{run.pair.name}, drafts drawn at temperature {run.sampling.temperature:g}: one draw, and what is expected "
        "given the outputs:",
        render(table, width=width, colour=colour),
    ]


def _cells(found: Expected | None) -> tuple[str, str]:
    return (ABSENT, ABSENT) if found is None else (number(found.mean, 3), number(found.deviation, 3))
