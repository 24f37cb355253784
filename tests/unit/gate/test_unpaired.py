"""Comparisons that are not prompt by prompt, and of two baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.published import FORMAT, PublishedFigure, PublishedFigures
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.gate import OVERALL, GateResult, Pairing, Verdict, compare, pair_up
from pytest_speedbench.gate.unpaired import (
    TABLE_NOTE,
    UNPAIRED_NOTE,
    pairing_of_baselines,
    pairing_unpaired,
    pairing_with_table,
)
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.speedbench_compat import from_emissions, from_records
from tests.unit.metrics.runs import conversation, run, turn


def measured(
    seed: int, chance: float = 0.6, *, prompts: int = 40, categories: Sequence[str] = ("coding", "math")
) -> Run:
    """Prompts whose steps accept each draft token with about this chance; ids differ by seed."""
    rng = np.random.default_rng(seed)

    def accepted() -> list[int]:
        p = np.clip(rng.normal(chance, 0.05), 0, 1)
        return [min(3, int(rng.geometric(1 - p)) - 1) if p < 1 else 3 for _ in range(60)]

    names = [(f"{seed}-{c}-{n}", c) for c in categories for n in range(prompts)]
    return run([conversation(*name, turn(accepted()), turn(accepted())) for name in names])


def stored(measurement: Run) -> Baseline:
    return Baseline.from_run(measurement, date="2026-03-01")


def table(
    categories: dict[str, float], overall: float | None = None, figure: PublishedFigure = "al_macro"
) -> PublishedFigures:
    return PublishedFigures(FORMAT, "a paper", figure, categories, 3, overall)


def verdicts(result: GateResult) -> dict[str, Verdict]:
    return {row.name: row.verdict for row in result.all_rows}


def test_other_prompts_show_a_large_drop_and_say_that_they_are_weaker() -> None:
    pairing = pairing_unpaired(stored(measured(1)), measured(2, 0.45))
    assert (pairing.basis, len(pairing.pairs)) == ("unpaired", 160)
    result = compare(pairing)
    assert set(verdicts(result).values()) == {Verdict.REGRESSION}
    assert UNPAIRED_NOTE in result.notes
    assert any("not calibrated" in note for note in result.notes)
    healthy = compare(pairing_unpaired(stored(measured(1)), measured(3)))
    assert not healthy.failed
    assert Verdict.REGRESSION not in verdicts(healthy).values()


def test_other_prompts_see_less_than_the_same_ones() -> None:
    reference = measured(1)
    unpaired, paired = compare(pairing_unpaired(stored(reference), reference)), compare(pair_up(reference, reference))
    assert set(verdicts(paired).values()) == {Verdict.NO_REGRESSION}
    assert Verdict.NO_REGRESSION not in verdicts(unpaired).values()


def test_equal_ids_are_not_paired() -> None:
    reference = measured(1)
    pairing = pairing_unpaired(stored(reference), reference)
    assert all((pair.before is None) != (pair.after is None) for pair in pairing.pairs)
    row = compare(pairing).rows[0]
    assert row.changes[0].change == 0
    assert row.changes[0].lower is not None
    assert row.changes[0].lower < 0


def test_another_mix_of_categories_is_not_compared_as_a_whole() -> None:
    easy, hard = measured(1, 0.8, categories=["coding"]), measured(1, 0.4, categories=["math"])
    both = replace(easy, conversations=(*easy.conversations, *hard.conversations))
    fewer = replace(easy, conversations=(*easy.conversations, *hard.conversations[:20]))
    pairing = pairing_unpaired(stored(both), fewer)
    assert any("the two sides hold other shares of the categories" in note for note in pairing.notes)
    result = compare(pairing)
    assert result.overall is None
    assert [(row.prompts, row.of_prompts) for row in result.rows] == [(40, 40), (20, 40)]
    assert compare(pairing_unpaired(stored(both), replace(both, conversations=both.conversations[::2]))).overall


def test_categories_of_one_side_only() -> None:
    both, one = measured(1), measured(2, categories=["coding"])
    pairing = pairing_unpaired(stored(both), one)
    assert "Not measured, so not compared: math." in pairing.notes
    assert [row.name for row in compare(pairing).all_rows] == ["coding"]
    missing = compare(pairing_unpaired(stored(one), both))
    assert verdicts(missing)["math"] is Verdict.MISSING


def test_a_missing_record_does_not_pass() -> None:
    candidate = measured(2)
    silent = replace(
        candidate,
        conversations=(*candidate.conversations, conversation("silent", "math", turn([1, 2], record=False))),
    )
    for pairing in (
        pairing_unpaired(stored(measured(1, prompts=41)), silent),
        pairing_with_table(table({"coding": 2.1, "math": 2.1}), silent),
    ):
        row = next(row for row in compare(pairing).rows if row.name == "math")
        assert row.verdict is Verdict.MISSING
        assert "the engine gave no acceptance record" in row.reason


def test_against_a_table() -> None:
    candidate = measured(1)
    own = {pair.category: 0.0 for pair in pair_up(candidate, candidate).pairs}
    for name in own:
        lengths = [c.acceptance.al for c in candidate.in_category(name) if c.acceptance and c.acceptance.al]
        own[name] = sum(lengths) / len(lengths)
    pairing = pairing_with_table(table(own, sum(own.values()) / 2), candidate)
    assert (pairing.basis, pairing.against, pairing.draft_length) == ("aggregate", "published figures (a paper)", 3)
    result = compare(pairing)
    assert set(verdicts(result)) == {"coding", "math", OVERALL}
    assert not result.failed
    assert result.notes[0] == TABLE_NOTE
    for row in result.all_rows:
        assert row.changes[0].change == pytest.approx(0, abs=1e-12)
        assert [change.metric for change in row.changes] == ["al_macro"]
    higher = {"coding": own["coding"] * 1.2, "math": own["math"]}
    assert verdicts(compare(pairing_with_table(table(higher), candidate)))["coding"] is Verdict.REGRESSION
    assert verdicts(compare(pairing_with_table(table({"coding": 2.0}), candidate)))["math"] is Verdict.MISSING


def overall_compared(pairing: Pairing) -> bool:
    said = any("The overall figures are not compared" in note for note in pairing.notes)
    assert said != (OVERALL in pairing.published)
    return not said


def test_the_overall_figure_is_compared_only_with_its_like() -> None:
    candidate = measured(1)
    uneven = replace(candidate, conversations=candidate.conversations[:-1])
    figures = {"coding": 2.6, "math": 2.0}
    assert overall_compared(pairing_with_table(table(figures, 2.3), candidate))
    assert not overall_compared(pairing_with_table(table(figures, 2.5), candidate))  # no mean of the categories
    assert not overall_compared(pairing_with_table(table(figures, 2.3), uneven))
    assert not overall_compared(pairing_with_table(table({**figures, "qa": 2.3}, 2.3), candidate))


def test_speedbench_counts_the_prefill_as_a_step() -> None:
    candidate = measured(1)
    theirs = dict(from_records(candidate.conversations).category_al)
    pairing = pairing_with_table(table(theirs, figure="speedbench_al"), candidate)
    for row in compare(pairing).rows:
        assert row.changes[0].candidate == pytest.approx(theirs[row.name])
        assert row.verdict is not Verdict.REGRESSION
    ours = compare(pairing_with_table(table(theirs), candidate)).rows
    assert all(row.changes[0].candidate > theirs[row.name] * 1.005 for row in ours)


def test_speedbench_figures_leave_out_the_end_of_sequence_for_a_run_and_for_its_baseline() -> None:
    candidate = measured(1)
    ended = [
        replace(c, turns=tuple(replace(turn, finish_reason="stop") for turn in c.turns))
        for c in candidate.conversations
    ]
    candidate = replace(candidate, conversations=tuple(ended))
    theirs = dict(from_emissions(candidate.conversations).category_al)
    for side in (candidate, stored(candidate)):
        for row in compare(pairing_with_table(table(theirs, figure="speedbench_al"), side)).rows:
            assert row.changes[0].candidate == pytest.approx(theirs[row.name])


def test_a_baseline_that_does_not_say_where_its_outputs_ended_has_no_speedbench_figure() -> None:
    baseline = stored(measured(1))
    silent = msgspec.structs.replace(
        baseline, prompts=tuple(msgspec.structs.replace(prompt, cuts=None) for prompt in baseline.prompts)
    )
    result = compare(pairing_with_table(table({"coding": 2.0}, figure="speedbench_al"), silent))
    assert result.failed


def test_a_table_of_another_draft_length_is_refused() -> None:
    with pytest.raises(BaselineError, match="of a draft length of 5, this run of 3"):
        pairing_with_table(PublishedFigures(FORMAT, "a paper", "al_macro", {"coding": 3.0}, 5), measured(1))


def test_two_baselines_are_compared_as_a_run_with_a_baseline() -> None:
    reference, candidate = measured(1), measured(1, 0.5)
    stored_only = compare(pairing_of_baselines(stored(reference), stored(candidate)))
    with_run = compare(pair_up(stored(reference), candidate))
    assert stored_only.rows == with_run.rows
    assert stored_only.overall == with_run.overall
    assert stored_only.basis == "paired"
    part = replace(candidate, conversations=candidate.conversations[::2])
    notes = pairing_of_baselines(stored(reference), stored(part)).notes
    assert notes[0] == "40 prompts are in both baselines, of 80 in the reference and 40 in the candidate."


def test_a_stored_candidate_is_as_good_as_its_run() -> None:
    reference, candidate = stored(measured(1)), measured(2, 0.55)
    assert pairing_unpaired(reference, stored(candidate)).pairs == pairing_unpaired(reference, candidate).pairs
    published = table({"coding": 2.1, "math": 2.1})
    assert pairing_with_table(published, stored(candidate)) == pairing_with_table(published, [candidate])
