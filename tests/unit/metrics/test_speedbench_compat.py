from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.measure.run import Turn
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


def ended(one: Turn, *, emissions: tuple[int, ...] | None = None) -> Turn:
    """The same turn, whose last token ended the sequence."""
    lengths = [tokens for _, tokens in one.emissions] if emissions is None else emissions
    return replace(one, finish_reason="stop", emissions=tuple((float(at), n) for at, n in enumerate(lengths)))


def test_what_the_limit_cut_off_is_not_counted() -> None:
    rows = [conversation("1", "qa", turn([3, 3], discarded=2))]
    figures = speedbench_compat.from_records(rows)
    assert figures.step_lengths.counts == {1: 1, 2: 1, 4: 1}
    assert figures.source is AcceptanceSource.ENGINE
    emitted = speedbench_compat.from_emissions(rows)
    assert emitted.step_lengths == figures.step_lengths
    assert emitted.source is AcceptanceSource.STREAM


def test_the_end_of_sequence_is_not_counted_and_nor_is_a_chunk_that_held_nothing_else() -> None:
    within, alone, first = ended(turn([3, 2])), ended(turn([3, 2], discarded=2)), ended(turn([]))
    for one, lengths in ((within, {1: 1, 2: 1, 4: 1}), (alone, {1: 1, 4: 1})):
        rows = [conversation("1", "qa", one)]
        assert speedbench_compat.from_records(rows).step_lengths.counts == lengths
        assert speedbench_compat.from_emissions(rows).step_lengths.counts == lengths
    nothing = speedbench_compat.from_records([conversation("1", "qa", first)])
    assert (nothing.overall_al, nothing.missing) == (None, 1)


def test_merged_emissions_leave_a_cut_unknown_unless_one_step_alone_fits() -> None:
    merged = ended(turn([3, 1], discarded=1), emissions=(1, 5))
    missing = speedbench_compat.from_records([conversation("1", "qa", merged)])
    assert (missing.missing, missing.overall_al) == (1, None)
    alike = ended(turn([3, 3], discarded=1), emissions=(1, 7))
    known = speedbench_compat.from_records([conversation("1", "qa", alike)])
    assert known.step_lengths.counts == {1: 1, 2: 1, 4: 1}


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from([None, 0, 1, 2, 3]), max_size=5), st.integers(0, 3), st.booleans()),
        min_size=1,
        max_size=3,
    )
)
def test_records_and_single_emissions_give_the_same_figures(
    turns: list[tuple[list[int | None], int, bool]],
) -> None:
    made = []
    for accepted, discarded, stopped in turns:
        one = turn(accepted, discarded=min(discarded, (accepted[-1] or 0) if accepted else 0))
        made.append(ended(one) if stopped else one)
    rows = [conversation("1", "qa", *made)]
    assert speedbench_compat.from_records(rows).step_lengths == speedbench_compat.from_emissions(rows).step_lengths


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
