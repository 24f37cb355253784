"""Every planted difference between a replay and its decoding gets its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import EngineArg, Load
from pytest_speedbench.measure.run import Conversation, Turn
from pytest_speedbench.metrics.replay_differences import (
    Cause,
    Margins,
    ReplayDifference,
    differences_of,
    may_be_cut,
)
from pytest_speedbench.report.replay import difference_lines
from tests.unit.metrics.runs import conversation, run, turn

LIMIT = 0.25
STORED = turn([3, 1, 0, 2], discarded=1)  # 10 tokens
MARGINS: Margins = {"p": [5.0, 4.0, 0.2, 3.0, 0.3, 2.0, 0.0, 2.0, 2.0, 2.0]}


def of(*turns: Turn) -> list[Conversation]:
    return [conversation("q", "qa", *turns)]


def found(
    decoded: Turn, stored: Turn = STORED, *, margins: Margins = MARGINS, limit: float | None = LIMIT, unsteady: str = ""
) -> ReplayDifference:
    (difference,) = differences_of(
        of(stored), of(decoded), margins=margins, limit_nats=limit, unsteady={unsteady} - {""}
    )
    return difference


def changed(position: int) -> Turn:
    ids = STORED.output_ids
    return replace(STORED, output_ids=(*ids[:position], 99, *ids[position + 1 :]))


def counted(histogram: Sequence[int], *, undrafted: int | None = 0, discarded: int | None = 1, of: int = 12) -> Turn:
    """The stored output with other counts."""
    return replace(STORED, acceptance=AcceptanceRecord(3, tuple(histogram), of, undrafted, discarded))


def test_what_is_equal_is_no_difference() -> None:
    assert differences_of(of(STORED), of(STORED), margins=MARGINS, limit_nats=LIMIT) == []
    silent = counted([1, 1, 1, 1], undrafted=None, discarded=None)
    assert differences_of(of(STORED), of(silent), margins=MARGINS, limit_nats=LIMIT) == []


@pytest.mark.parametrize(
    ("position", "cause"), [(2, Cause.NEAR_TIE), (6, Cause.NEAR_TIE), (4, Cause.NO_TIE), (0, Cause.NO_TIE)]
)
def test_another_output_is_judged_by_the_margin_where_it_left(position: int, cause: Cause) -> None:
    difference = found(changed(position))
    margins = MARGINS["p"]
    assert margins is not None
    assert (difference.cause, difference.position, difference.margin_nats) == (cause, position, margins[position])


def test_an_output_that_ended_earlier_differs_where_it_ended() -> None:
    shorter = replace(STORED, output_ids=STORED.output_ids[:6])
    assert (found(shorter).cause, found(shorter).position) == (Cause.NEAR_TIE, 6)
    longer = replace(STORED, output_ids=(*STORED.output_ids, 5))
    assert found(longer).cause is Cause.UNKNOWN_MARGIN


def test_without_margin_or_dtype_a_tie_cannot_be_told() -> None:
    assert found(changed(2), margins={"p": None}).cause is Cause.UNKNOWN_MARGIN
    assert found(changed(2), margins={}).cause is Cause.UNKNOWN_MARGIN
    assert found(changed(2), limit=None).cause is Cause.UNKNOWN_MARGIN


@pytest.mark.parametrize(
    ("decoded", "cause"),
    [
        (counted([1, 2, 0, 1], discarded=0), Cause.PAST_THE_END),  # the last step accepted 1 and not 2
        (counted([1, 2, 0, 1], discarded=None), Cause.PAST_THE_END),
        (counted([1, 2, 0, 1], discarded=1), Cause.UNEXPLAINED),  # which cannot be of the same output
        (counted([0, 1, 1, 1], undrafted=1, of=9), Cause.UNDRAFTED),
        (counted([0, 1, 1, 1], undrafted=None, discarded=None, of=9), Cause.UNDRAFTED),
        (counted([1, 1, 1, 1], of=10), Cause.DRAFT_LENGTHS),
        (counted([4, 0, 1, 1]), Cause.UNEXPLAINED),
        (replace(STORED, acceptance=None), Cause.UNEXPLAINED),
        (replace(STORED, acceptance=AcceptanceRecord(2, (1, 1, 2), 8)), Cause.UNEXPLAINED),
    ],
)
def test_other_counts_of_the_same_output(decoded: Turn, cause: Cause) -> None:
    assert (found(decoded).cause, found(decoded).position) == (cause, None)


def test_a_drafter_that_is_unsteady_explains_its_counts_only() -> None:
    assert found(counted([4, 0, 1, 1]), unsteady="q").cause is Cause.DRAFTER_NEAR_TIE
    assert found(counted([4, 0, 1, 1]), unsteady="other").cause is Cause.UNEXPLAINED
    assert found(changed(0), unsteady="q").cause is Cause.NO_TIE


def test_prompts_that_a_head_may_have_read_in_chunks() -> None:
    args = {"max_num_batched_tokens": 16, "enable_chunked_prefill": True}
    made = run(
        [conversation(name, "qa", replace(STORED, prompt_tokens=n)) for name, n in (("a", 9), ("b", 3), ("c", 17))]
    )

    def cut(concurrency: int, **changes: EngineArg) -> set[str]:
        engine = replace(made.engine, name=str(changes.pop("name", "vllm")), args={**args, **changes})
        return may_be_cut(replace(made, engine=engine, load=Load(concurrency)))

    assert cut(1) == {"c"}
    assert cut(2) == {"a", "b", "c"}
    assert cut(2, max_num_batched_tokens=64) == cut(2, enable_chunked_prefill=False) == set()
    assert cut(2, name="sglang") == cut(2, max_num_batched_tokens=None) == set()
    found_there = differences_of(
        of(STORED), of(counted([4, 0, 1, 1])), margins=MARGINS, limit_nats=LIMIT, unsteady=(), cut={"q"}
    )
    assert [difference.cause for difference in found_there] == [Cause.CHUNKED_PREFILL]


def test_only_the_first_turn_that_differs_is_named() -> None:
    second = replace(changed(0), prompt_sha256="elsewhere")
    (difference,) = differences_of(
        of(STORED, STORED), of(changed(2), second), margins=MARGINS, limit_nats=LIMIT, unsteady=()
    )
    assert (difference.turn, difference.cause) == (0, Cause.NEAR_TIE)
    (later,) = differences_of(of(STORED, STORED), of(STORED, changed(4)), margins=MARGINS, limit_nats=LIMIT)
    assert (later.turn, later.cause) == (1, Cause.NO_TIE)


def test_the_summary_counts_by_cause_and_shows_the_first_of_each() -> None:
    differences = [found(changed(2)), found(changed(6)), found(counted([4, 0, 1, 1]))]
    assert difference_lines(differences, LIMIT) == [
        "  2 × output differs at a near tie, first q, turn 1, token 3: margin 0.2 nats "
        "(rounding may turn over up to 0.25)",
        "  1 × not explained, first q, turn 1: replayed [1, 1, 1, 1] of 12 proposed, 0 undrafted, 1 discarded, "
        "decoded [4, 0, 1, 1] of 12 proposed, 0 undrafted, 1 discarded",
    ]
    assert difference_lines([found(changed(2), limit=None)], None) == [
        "  1 × output differs, and how near to a tie is not known, first q, turn 1, token 3: margin 0.2 nats"
    ]
