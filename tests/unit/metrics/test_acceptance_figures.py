from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, AcceptanceTotals
from pytest_speedbench.metrics.acceptance import (
    AcceptanceFigures,
    conditional_rates,
    counted_figures,
    joint_rates,
    mean_of_all,
    summarize_acceptance,
)
from tests.unit.metrics.runs import conversation, turn

histograms = st.lists(st.integers(0, 50), min_size=2, max_size=6)


def test_macro_and_pooled_are_kept_apart() -> None:
    figures = AcceptanceFigures.of([AcceptanceRecord(3, (0, 0, 0, 1), 3), AcceptanceRecord(3, (9, 0, 0, 0), 27)])
    assert figures.al_macro == (4 + 1) / 2
    assert figures.al_pooled == 1 + 3 / 10
    assert figures.draft_acceptance_rate == 3 / 30
    assert figures.histogram == (9, 0, 0, 1)


def test_a_conversation_pools_its_turns() -> None:
    two_turns = conversation("1", "qa", turn([3]), turn([0, 0, 0]))
    summary = summarize_acceptance([two_turns])
    assert summary.overall.al_macro == 1 + 3 / 4  # not (4 + 1) / 2


def test_the_overall_mean_over_conversations_and_over_categories_differ() -> None:
    rows = [conversation(str(i), "qa", turn([3])) for i in range(3)] + [conversation("x", "math", turn([0]))]
    summary = summarize_acceptance(rows)
    assert list(summary.by_category) == ["math", "qa"]
    assert summary.overall.al_macro == (4 + 4 + 4 + 1) / 4
    assert summary.al_category_macro == (4 + 1) / 2


def test_missing_records_are_counted_and_enter_nothing() -> None:
    rows = [conversation("1", "qa", turn([3])), conversation("2", "qa", turn([3]), turn([0], record=False))]
    figures = summarize_acceptance(rows).by_category["qa"]
    assert (figures.conversations, figures.missing) == (2, 1)
    assert figures.al_macro == figures.al_pooled == 4


def test_nothing_at_all_is_none_and_not_zero() -> None:
    summary = summarize_acceptance([conversation("1", "qa", turn([3], record=False))])
    figures = summary.overall
    assert figures.missing == 1
    absent = (
        figures.al_macro,
        figures.al_pooled,
        figures.draft_acceptance_rate,
        figures.tokens_per_decode_step,
        figures.emitted_tokens_per_verify_step,
        figures.discarded_tokens,
        figures.source,
        summary.al_category_macro,
    )
    assert absent == (None,) * len(absent)
    assert figures.joint_rates == figures.conditional_rates == ()


def test_one_category_without_a_figure_leaves_no_mean_over_categories() -> None:
    rows = [conversation("1", "qa", turn([3])), conversation("2", "math", turn([3], record=False))]
    assert summarize_acceptance(rows).al_category_macro is None
    assert mean_of_all([]) is None


def test_steps_without_a_draft_count_only_per_decode_step() -> None:
    drafted_once = summarize_acceptance([conversation("1", "qa", turn([2, None, None, None]))]).overall
    assert drafted_once.al_pooled == 3
    assert drafted_once.tokens_per_decode_step == (3 + 3) / 4
    never = summarize_acceptance([conversation("1", "qa", turn([None, None]))]).overall
    assert (never.missing, never.without_verify_steps, never.al_macro) == (0, 1, None)
    assert never.tokens_per_decode_step == never.tokens_per_decode_step_macro == 1


def test_discarded_tokens_lower_what_is_emitted_but_not_the_acceptance_length() -> None:
    figures = summarize_acceptance([conversation("1", "qa", turn([3, 3], discarded=2))]).overall
    assert figures.al_pooled == 4
    assert figures.emitted_tokens_per_verify_step == 3
    unknown = AcceptanceFigures.of([AcceptanceRecord(1, (0, 1), 1)])
    assert unknown.emitted_tokens_per_verify_step is None


def test_the_weakest_source_is_carried_along() -> None:
    rows = [AcceptanceRecord(1, (0, 1), 1), AcceptanceRecord(1, (0, 1), 1, source=AcceptanceSource.COUNTERS)]
    assert AcceptanceFigures.of(rows).source is AcceptanceSource.COUNTERS


def test_an_empty_bin_is_not_skipped() -> None:
    assert conditional_rates([2, 0, 2]) == (0.5, 1.0)
    assert conditional_rates([0, 0, 4]) == (1.0, 1.0)
    assert conditional_rates([4, 0, 0]) == (0.0, None)
    assert conditional_rates([0, 0, 0]) == (None, None)
    assert joint_rates([0, 0, 0]) == (None, None)


@settings(max_examples=50, deadline=None)
@given(histograms)
def test_rates_fit_together(histogram: list[int]) -> None:
    joint, conditional = joint_rates(histogram), conditional_rates(histogram)
    assert len(joint) == len(conditional) == len(histogram) - 1
    product = 1.0
    for whole, step in zip(joint, conditional, strict=True):
        if whole is None:
            continue
        assert 0 <= whole <= 1
        if step is not None:
            product *= step
            assert whole == pytest.approx(product)
        else:
            assert whole == 0
    if sum(histogram):
        al = 1 + sum(j * n for j, n in enumerate(histogram)) / sum(histogram)
        assert 1 + sum(rate for rate in joint if rate is not None) == pytest.approx(al)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6))
def test_order_and_splitting_into_turns_change_nothing(steps: list[list[int]]) -> None:
    whole = [conversation(str(i), "qa", turn(row)) for i, row in enumerate(steps)]
    split = [conversation(str(i), "qa", turn(row[:1]), turn(row[1:])) for i, row in enumerate(steps)]
    assert summarize_acceptance(whole).overall == summarize_acceptance(list(reversed(split))).overall
    figures = summarize_acceptance(whole).overall
    assert figures.al_macro == pytest.approx(fmean(1 + fmean(row) for row in steps))
    assert figures.tokens_per_decode_step == pytest.approx(figures.al_pooled)


def test_counters_without_positions_give_lengths_and_no_rates() -> None:
    unknown = turn([3, 0], record=False)
    summary = summarize_acceptance([conversation("1", "qa", unknown)], AcceptanceTotals(10, 14, 30))
    overall = summary.overall
    assert (overall.al_pooled, overall.draft_acceptance_rate) == (2.4, 14 / 30)
    assert (overall.verify_steps, overall.accepted_tokens, overall.proposed_tokens) == (10, 14, 30)
    assert (overall.conditional_rates, overall.joint_rates, overall.histogram) == ((), (), ())
    assert (overall.al_macro, overall.tokens_per_decode_step, overall.undrafted_steps) == (None, None, None)
    assert (overall.conversations, overall.missing, overall.source) == (1, 1, AcceptanceSource.COUNTERS)
    assert summary.by_category["qa"].al_pooled is None


def test_counters_of_several_runs_are_added_up() -> None:
    nothing = AcceptanceFigures.of([None, None])
    both = counted_figures([AcceptanceTotals(10, 14, 30), AcceptanceTotals(6, 2, None)], nothing)
    assert (both.al_pooled, both.proposed_tokens, both.draft_acceptance_rate) == (2.0, None, None)
    assert both.conversations == 2
    mixed = counted_figures([AcceptanceTotals(1, 0, 3), AcceptanceRecord(3, (0, 0, 0, 1), 3)], nothing)
    assert (mixed.al_pooled, mixed.histogram) == (2.5, ())


def test_a_trees_acceptance_rate_is_of_all_its_tokens() -> None:
    figures = AcceptanceFigures.of([AcceptanceRecord(3, (1, 0, 0, 1), 2 * 12, tree_tokens=12)])
    assert (figures.al_macro, figures.draft_acceptance_rate) == (2.5, 3 / 24)
    assert figures.conditional_rates == (0.5, 1.0, 1.0)
