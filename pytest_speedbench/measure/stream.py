"""Acceptance inferred from how many tokens came out together: the last resort, and labelled as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.measure.run import Conversation, Turn


def from_emissions(tokens: Sequence[int], draft_length: int) -> AcceptanceRecord | None:
    """The record of one request from the sizes of its emissions, the prefill's first.

    Every later emission is taken for one verify step that accepted all its tokens but one. What was proposed, which
    steps had no draft and what was cut off at the end cannot be seen. Emissions merged on their way inflate it; one of
    more than ``draft_length`` + 1 tokens proves that it happened, and then there is no record.

    Args:
        tokens: tokens of every emission, in order.
        draft_length: K.

    Returns:
        The record, or ``None`` when emissions are no single steps.
    """
    steps = [count - 1 for count in tokens[1:] if count]
    if not tokens or tokens[0] != 1 or any(accepted > draft_length for accepted in steps):
        return None
    histogram = tuple(steps.count(accepted) for accepted in range(draft_length + 1))
    return AcceptanceRecord(
        draft_length=draft_length,
        histogram=histogram,
        proposed_tokens=None,
        undrafted_steps=None,
        source=AcceptanceSource.STREAM,
    )


def with_stream_records(conversations: tuple[Conversation, ...], draft_length: int) -> tuple[Conversation, ...]:
    """Give conversations records inferred from their emissions, if the engine gave none for any of them.

    Records of two sources are never mixed.
    """
    if any(turn.acceptance is not None for c in conversations for turn in c.turns):
        return conversations

    def inferred(turn: Turn) -> Turn:
        return replace(turn, acceptance=from_emissions([tokens for _, tokens in turn.emissions], draft_length))

    return tuple(replace(c, turns=tuple(inferred(turn) for turn in c.turns)) for c in conversations)
