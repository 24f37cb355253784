from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, VerifyStep
from pytest_speedbench.engines.replay.walk import matching, record_of
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput

K = 4


def stored(output: list[int], overhang: list[int], prompt: int = 2) -> StoredOutput:
    return StoredOutput(tuple(range(prompt)), tuple(output), tuple(overhang), stopped=False)


def decoded(row: StoredOutput, drafts: list[list[int]], draft_length: int, context_tokens: int) -> AcceptanceRecord:
    """As an engine decodes: draft, verify token by token, put out what was accepted and one token more."""
    sure, steps = list(row.continued), []
    emitted = 1
    while emitted < len(row.output_ids):
        room = max(0, min(draft_length, context_tokens - len(row.prompt_ids) - emitted - 1))
        draft = drafts[emitted - 1][:room]
        accepted = 0
        while accepted < len(draft) and draft[accepted] == sure[emitted + accepted]:
            accepted += 1
        steps.append(VerifyStep(len(draft), accepted))
        emitted += accepted + 1
    discarded = emitted - len(row.output_ids)
    return AcceptanceRecord.from_steps(
        steps, draft_length=draft_length, discarded_tokens=discarded, source=AcceptanceSource.REPLAY
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[StoredOutput, list[list[int]]]:
    tokens = st.integers(0, 2)
    output = draw(st.lists(tokens, min_size=1, max_size=20))
    row = stored(output, draw(st.lists(tokens, min_size=K, max_size=K)))
    return row, [draw(st.lists(tokens, max_size=K)) for _ in output]


@settings(max_examples=300, deadline=None)
@given(requests(), st.integers(1, K), st.integers(20, 40))
def test_the_walk_is_the_decoding(
    request_and_drafts: tuple[StoredOutput, list[list[int]]], draft_length: int, context_tokens: int
) -> None:
    row, drafts = request_and_drafts

    def reach(place: int) -> VerifyStep:
        return VerifyStep(len(drafts[place]), matching(drafts[place], row.continued[place + 1 :]))

    context_tokens = max(context_tokens, len(row.prompt_ids) + len(row.output_ids))
    assert record_of(row, reach, draft_length, context_tokens) == decoded(row, drafts, draft_length, context_tokens)


def test_a_single_token_takes_no_step() -> None:
    record = record_of(stored([1], []), lambda _: VerifyStep(3, 3), 3, 100)
    assert (record.verify_steps, record.discarded_tokens, record.expected_output_tokens()) == (0, 0, 1)


def test_drafts_past_the_end_need_an_overhang() -> None:
    with pytest.raises(OutputsError, match="1 tokens past the end are stored, too few for a draft length of 3"):
        record_of(stored([1, 2], [3]), lambda _: VerifyStep(3, 3), 3, 100)
    assert record_of(stored([1, 2], [3, 4]), lambda _: VerifyStep(3, 3), 3, 100).discarded_tokens == 3


def test_at_the_end_of_the_context_less_is_drafted() -> None:
    record = record_of(stored([1, 2, 3], []), lambda _: VerifyStep(3, 0), 3, 5)
    assert (record.proposed_tokens, record.undrafted_steps) == (1, 1)


@pytest.mark.parametrize(
    ("draft", "continuation", "expected"), [([1, 2], [1, 2, 3], 2), ([1, 3], [1, 2], 1), ([1, 2], [1], 1), ([], [1], 0)]
)
def test_matching(draft: list[int], continuation: list[int], expected: int) -> None:
    assert matching(draft, continuation) == expected
