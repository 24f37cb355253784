"""SGLang's n-grams against its steps told one by one, over few tokens, where n-grams repeat and drafts are padded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.engines.replay.lookup.settings import SglangTrees
from pytest_speedbench.engines.replay.lookup.sglang import SglangMemory
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput
from tests.unit.replay.reference_sglang import Reference

CONTEXT = 10_000
MOST = 9

tokens = st.integers(0, 3)
texts = st.lists(tokens, min_size=1, max_size=30)


@st.composite
def requests(draw: st.DrawFn) -> StoredOutput:
    tail = draw(st.lists(tokens, min_size=MOST, max_size=MOST))
    output = draw(texts)
    if draw(st.booleans()):
        output = (output * 6)[:40]
    return StoredOutput(tuple(draw(texts)), tuple(output), tuple(tail), stopped=False)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(requests(), min_size=1, max_size=5, unique_by=lambda row: row.prompt_ids),
    st.integers(1, MOST),
    st.integers(2, 8),
    st.integers(1, 3),
    st.integers(0, 4),
)
def test_every_step_accepts_what_sglang_accepts(
    rows: list[StoredOutput], draft_length: int, depth: int, least: int, more: int
) -> None:
    reference = Reference(draft_length, depth, least, least + more)
    memory = SglangMemory(SglangTrees(draft_length, depth, least, least + more), CONTEXT)
    for row in rows:
        told = reference.decode(row.prompt_ids, row.output_ids, row.overhang_ids)
        reach = memory.reach(row)
        assert [(place, reach(place).accepted_tokens) for place, _ in told] == told
        record = record_of(row, reach, draft_length, CONTEXT)
        assert record.verify_steps == len(told)


def row(prompt: list[int], output: list[int]) -> StoredOutput:
    return StoredOutput(tuple(prompt), tuple(output), (9,) * 4, stopped=False)


def accepted(memory: SglangMemory, stored: StoredOutput) -> tuple[int, ...]:
    return record_of(stored, memory.reach(stored), 4, CONTEXT).histogram


def test_it_learns_from_other_requests_until_a_prompt_comes_again() -> None:
    memory = SglangMemory(SglangTrees(4), CONTEXT)
    first, second = row([1, 2], [3, 4, 5, 6, 7, 8]), row([2], [3, 4, 5, 6, 7, 8])
    alone = accepted(memory, first)
    assert alone == (5, 0, 0, 0, 0)
    assert accepted(memory, second) == (0, 0, 0, 0, 1)
    assert accepted(memory, first) == alone


def test_padding_is_verified() -> None:
    memory = SglangMemory(SglangTrees(4), CONTEXT)
    assert accepted(memory, row([1], [2, 0, 3])) == (0, 1, 0, 0, 0)


def test_a_full_tree_is_refused() -> None:
    memory = SglangMemory(SglangTrees(4, capacity=100), CONTEXT)
    with pytest.raises(OutputsError, match="may fill SGLang's tree of n-grams"):
        memory.reach(row(list(range(50)), list(range(50))))
