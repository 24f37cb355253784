from __future__ import annotations

import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.metrics import speedbench_compat, summarize
from pytest_speedbench.metrics.speedbench_compat import StepLengths
from tests.unit.metrics.runs import conversation, run, turn


def test_prefills_and_undrafted_steps_are_steps_of_length_1() -> None:
    rows = [conversation("1", "qa", turn([3, None]), turn([1]))]
    figures = speedbench_compat.from_records(rows)
    assert figures.step_lengths.counts == {1: 3, 2: 1, 4: 1}
    assert figures.category_al == {"qa": (1 + 4 + 1 + 1 + 2) / 5}
    assert figures.overall_al == figures.step_lengths.pooled_length == 9 / 5
    assert figures.source is AcceptanceSource.ENGINE
    assert speedbench_compat.from_emissions(rows).step_lengths == figures.step_lengths


def test_only_emissions_show_what_was_cut_off() -> None:
    rows = [conversation("1", "qa", turn([3, 3], discarded=2))]
    assert speedbench_compat.from_records(rows).step_lengths.tokens == 9
    emitted = speedbench_compat.from_emissions(rows)
    assert emitted.step_lengths.counts == {1: 1, 2: 1, 4: 1}
    assert emitted.source is AcceptanceSource.STREAM


def test_a_conversation_without_a_record_is_missing_not_zero() -> None:
    rows = [conversation("1", "qa", turn([1])), conversation("2", "qa", turn([1], record=False))]
    figures = speedbench_compat.from_records(rows)
    assert (figures.missing, figures.category_al) == (1, {"qa": 1.5})
    nothing = speedbench_compat.from_records(rows[1:])
    assert (nothing.overall_al, nothing.source, nothing.step_lengths.pooled_length) == (None, None, None)


def test_every_length_has_a_rate_even_one_that_never_occurred() -> None:
    assert StepLengths({1: 2, 3: 2}).conditional_rates == {1: 1.0, 2: 0.5, 3: 1.0}
    assert StepLengths({1: 2, 3: 2}).joint_rates == {1: 1.0, 2: 0.5, 3: 0.5}
    assert StepLengths({}).conditional_rates == {}


def test_more_prefills_than_short_steps_cannot_be() -> None:
    with pytest.raises(ValueError, match="3 prefills"):
        StepLengths({1: 2}).without_prefills(3)


def test_a_summary_holds_all_of_it() -> None:
    summary = summarize(run([conversation("1", "qa", turn([3]))]))
    assert summary.acceptance.overall.al_macro == 4
    assert summary.speedbench.overall_al == 2.5
    assert summary.throughput.requests == 1
