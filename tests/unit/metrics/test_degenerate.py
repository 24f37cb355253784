from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.baselines.schema import Baseline, output_sha256
from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.measure.run import Conversation, Run, Turn
from pytest_speedbench.metrics.degenerate import (
    Degenerate,
    DegenerateKind,
    DegenerateOutputs,
    degenerate,
    degenerate_stored,
    doubts,
    repeated_tail,
)
from tests.unit.metrics.runs import conversation, run, turn

LOOP, NEAR_EMPTY = DegenerateKind.LOOP, DegenerateKind.NEAR_EMPTY
TRUNCATED, NOT_DRAFTING = DegenerateKind.TRUNCATED, DegenerateKind.NOT_DRAFTING
END = 0
"""The end-of-sequence token of the runs made by hand."""


def saying(ids: Sequence[int], *, stopped: bool = True) -> Turn:
    """A turn of that output; its acceptance record is another's."""
    return replace(turn([2] * 20), output_ids=tuple(ids), finish_reason="stop" if stopped else "length")


def kinds(*turns: Turn) -> set[DegenerateKind]:
    (output,) = degenerate(run([conversation("a", "qa", *turns)])).outputs
    return set(output.kinds)


def category(name: str, kinds_of: Sequence[set[DegenerateKind]], al: float | None = 2.5) -> tuple[Degenerate, ...]:
    return tuple(Degenerate(f"{name}-{i:02}", name, frozenset(own), al=al) for i, own in enumerate(kinds_of))


def outputs(*found: Degenerate) -> DegenerateOutputs:
    return DegenerateOutputs(found, DrafterMethod.EAGLE3)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7] * 32, (1, 32)),
        ([7] * 31, None),
        ([*range(100), *[5, 6, 7] * 20], (3, 60)),
        ([*range(100), *[5, 6, 7] * 20, 5, 6], (3, 62)),
        ([*[5, 6, 7] * 40, 9], None),
        ([*range(50)] * 3, None),
        ([*range(50)] * 4, (50, 200)),
        ([*range(100), *[5] * 33], None),
        ([*range(100), *[5] * 34], (1, 34)),
        ([*range(8000), *[5] * 127], None),
        ([*range(8000), *[5] * 128], (1, 128)),
        ([], None),
        ([1, 2, 3], None),
    ],
)
def test_the_end_of_an_output_is_a_loop_if_it_repeats_enough(ids: list[int], expected: tuple[int, int] | None) -> None:
    assert repeated_tail(ids) == expected


@given(
    st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(4, 20)
)
def test_a_tail_repeated_often_enough_is_found_and_really_repeats(
    start: list[int], unit: list[int], times: int
) -> None:
    ids = start + unit * times
    found = repeated_tail(ids)
    if len(unit) * times >= 32 and len(unit) * times >= len(ids) / 4:
        assert found is not None
        period, tokens = found
        assert period <= len(unit)
        assert tokens >= 4 * period
        assert all(ids[-i] == ids[-i - period] for i in range(1, tokens - period + 1))
        assert tokens == len(ids) or ids[-tokens - 1] != ids[-tokens - 1 + period]


@pytest.mark.parametrize(
    "ids", [[1] * 8192, [1] * 8191 + [2], ([1] * 63 + [2]) * 128, [1, 2] * 2048 + [1, 2, 2] * 1365]
)
def test_long_outputs_take_no_time(ids: list[int]) -> None:
    start = time.perf_counter()
    repeated_tail(ids)
    assert time.perf_counter() - start < 0.1  # a quadratic search takes seconds


def test_a_loop_that_stopped_is_one_without_its_end_token() -> None:
    assert kinds(saying([3, 4] * 30 + [END])) == {LOOP}
    assert kinds(saying([3, 4] * 30, stopped=False)) == {LOOP, TRUNCATED}
    assert kinds(saying([*range(1, 60), END])) == set()


def test_one_turn_is_enough() -> None:
    assert kinds(saying([*range(1, 60), END]), saying([3] * 40)) == {LOOP}


def test_near_empty_is_what_stopped_by_itself() -> None:
    assert kinds(saying([5, 6, END])) == {NEAR_EMPTY}
    assert kinds(saying([END])) == {NEAR_EMPTY}
    assert kinds(saying([5, 6, 7, END])) == set()
    assert kinds(saying([5, 6], stopped=False)) == {TRUNCATED}


def test_not_drafting_needs_enough_steps() -> None:
    assert kinds(turn([0] * 16)) == {NOT_DRAFTING, TRUNCATED}
    assert kinds(turn([0] * 15)) == {TRUNCATED}
    assert kinds(turn([0] * 15 + [1])) == {TRUNCATED}  # AL 1.0625
    assert kinds(turn([0] * 31 + [1])) == {NOT_DRAFTING, TRUNCATED}
    assert kinds(turn([None] * 30)) == {TRUNCATED}


def test_without_a_record_it_is_not_known_whether_drafts_are_accepted() -> None:
    (output,) = degenerate(run([conversation("a", "qa", turn([0] * 30, record=False))])).outputs
    assert output.unknown == {NOT_DRAFTING}
    assert output.al is None


def test_sound_outputs_give_no_note() -> None:
    assert outputs(*category("qa", [set()] * 5)).notes() == ()
    assert outputs(*category("qa", [set()] * 5)).flagged == ()


def test_notes_say_how_many_of_how_many_and_which() -> None:
    found = outputs(*category("coding", [{LOOP}] * 4 + [set()] * 76), *category("qa", [{NEAR_EMPTY}, {TRUNCATED}]))
    assert found.notes() == (
        "Outputs end in a loop in coding (4 of 80: coding-00, coding-01, coding-02, …): loops are easy to draft and "
        "fake a high acceptance length.",
        "Outputs are all but empty in qa (1 of 2: qa-00): so few steps say nothing about a drafter.",
        "1 of 82 prompts have an output that was cut off at the output limit.",
    )
    assert len(found.flagged) == 6


def test_a_drafter_that_does_not_work_is_named_by_category() -> None:
    dead = [*category("multilingual", [{NOT_DRAFTING}] * 3, al=1.02), *category("qa", [{NOT_DRAFTING}, set(), set()])]
    found = outputs(*dead)
    assert found.not_drafting == pytest.approx({"multilingual": 1.02})
    assert found.notes() == (
        "Hardly any draft token is accepted in multilingual (AL 1.02): the drafter is probably not working there "
        "(wrong weights, vocabulary map or hidden-state layers?).",
        "Hardly any draft token is accepted in single prompts of qa (1 of 3: qa-00).",
    )
    looked_up = replace(found, method=DrafterMethod.NGRAM).notes()[0]
    assert "weights" not in looked_up


def stored(now: Run, before: Run) -> tuple[DegenerateOutputs, DegenerateOutputs]:
    """Of the run as a baseline keeps it, and of another run."""
    baseline = Baseline.from_run(before, date="2026-03-01")
    hashes = {entry.id: entry.output_sha256 for entry in baseline.prompts}
    unchanged = {c.question_id for c in now.conversations if hashes.get(c.question_id) == output_sha256(c)}
    found = degenerate(now)
    return degenerate_stored(baseline.prompts, before.sampling.max_output_tokens, found, unchanged), found


def told(question_id: str, ids: Sequence[int], *, stopped: bool = True, turns: int = 1) -> Conversation:
    """A conversation whose turns all said that, one step a token."""
    own = replace(turn([0] * (len(ids) - 1)), output_ids=tuple(ids), finish_reason="stop" if stopped else "length")
    return conversation(question_id, "qa", *[own] * turns)


def test_what_is_known_of_equal_outputs_now_was_so_before() -> None:
    loop = told("a", [3, 4] * 20 + [END])
    before, now = stored(run([loop]), run([loop]))
    assert before.outputs[0].kinds == now.outputs[0].kinds == {LOOP, NOT_DRAFTING}
    assert not before.outputs[0].unknown


def test_whether_drafts_were_accepted_before_is_its_own_record() -> None:
    ids = [*range(1, 40), END]
    working = replace(saying(ids), acceptance=turn([2] * 13).acceptance)
    broken = replace(saying(ids), acceptance=turn([0] * 39).acceptance)
    before, now = stored(run([conversation("a", "qa", broken)]), run([conversation("a", "qa", working)]))
    assert (set(before.outputs[0].kinds), before.outputs[0].al) == (set(), 3.0)
    assert (set(now.outputs[0].kinds), now.outputs[0].al) == ({NOT_DRAFTING}, 1.0)


def test_of_changed_outputs_only_the_length_is_known_before() -> None:
    then = [
        told("a", [5, 6, END]),
        told("b", range(1, 65), stopped=False),
        told("c", range(1, 30), turns=3),
        told("d", range(1, 65), stopped=False, turns=2),
        told("e", range(1, 20), turns=2),
    ]
    before, _ = stored(run([told(name, [9] * 8) for name in "abcde"]), run(then))
    known = {output.question_id: (set(output.kinds) - {NOT_DRAFTING}, set(output.unknown)) for output in before.outputs}
    assert known == {
        "a": ({NEAR_EMPTY}, {LOOP}),
        "b": ({TRUNCATED}, {LOOP}),
        "c": (set(), {LOOP, NEAR_EMPTY, TRUNCATED}),
        "d": ({TRUNCATED}, {LOOP, NEAR_EMPTY}),
        "e": (set(), {LOOP, NEAR_EMPTY}),
    }
    assert before.found("qa", LOOP).share is None
    assert before.found("qa", LOOP).counted() == "not known"
    assert before.found("qa", TRUNCATED).counted() == "2 of 4 (not known of 1 more)"


def test_doubts_need_more_than_a_twentieth() -> None:
    sound = outputs(*category("qa", [set()] * 20))
    one, two = (outputs(*category("qa", [{LOOP}] * count + [set()] * (20 - count))) for count in (1, 2))
    assert doubts(sound, one) == doubts(one, sound) == ()
    assert doubts(sound, two) == (
        "The verdict on qa may be faked by degenerate output: looping or all but empty are 2 of 20 now, "
        "0 of 20 before.",
    )
    assert doubts(two, sound)


def test_unknown_loops_before_are_not_counted_as_none() -> None:
    unknown = tuple(replace(output, unknown=frozenset({LOOP})) for output in category("qa", [set()] * 20))
    (doubt,) = doubts(outputs(*unknown), outputs(*category("qa", [{LOOP}] * 20)))
    assert doubt.endswith("20 of 20 now, not known before.")


def test_doubts_where_one_side_was_cut_off_more_often() -> None:
    def cut(count: int) -> DegenerateOutputs:
        return outputs(*category("qa", [{TRUNCATED}] * count + [set()] * (20 - count)))

    assert doubts(cut(18), cut(18)) == doubts(cut(10), cut(12)) == ()
    assert doubts(cut(10), cut(13)) == (
        "Cut off at the output limit in qa: 13 of 20 outputs now, 10 of 20 before. The two sides did not say the same.",
    )
    assert doubts(cut(13), cut(10))


def test_no_loss_shows_against_a_drafter_that_did_not_work() -> None:
    (doubt,) = doubts(outputs(*category("qa", [set()] * 3, al=1.0)), outputs(*category("qa", [set()] * 3)))
    assert "no loss can be seen" in doubt


def test_the_drafting_method_is_the_pairs() -> None:
    measured = run([conversation("a", "qa", turn([1]))])
    assert degenerate(measured).method is DrafterMethod.EAGLE3
    looked_up = replace(measured, pair=replace(measured.pair, drafter=Drafter(DrafterMethod.NGRAM)))
    assert degenerate(looked_up).method is DrafterMethod.NGRAM
