"""Greedy speculation is lossless: the pair's output must be the target's own, token for token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from pytest_speedbench.measure.run import Conversation, Run


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a conversation first left the target's own output.

    Attributes:
        question_id: the conversation.
        turn: the turn, counted from 0.
        position: the output token, counted from 0.
        common_ids: the output both share before it.
        target_id: what the target alone emitted there; ``None`` if it had ended.
        pair_id: what the pair emitted there; ``None`` if it had ended.
    """

    question_id: str
    turn: int
    position: int
    common_ids: tuple[int, ...]
    target_id: int | None
    pair_id: int | None


def differences(target: Run, pair: Run) -> tuple[Difference, ...]:
    """The first difference of every conversation that has one, in the split's order.

    Later turns of a conversation are not compared after a difference: they had another prompt.

    Raises:
        ValueError: the two runs did not ask the same conversations.
    """
    if [c.question_id for c in target.conversations] != [c.question_id for c in pair.conversations]:
        raise ValueError("the two runs asked different conversations, so their outputs cannot be compared")
    found = (_first(a, b) for a, b in zip(target.conversations, pair.conversations, strict=True))
    return tuple(difference for difference in found if difference is not None)


def _first(target: Conversation, pair: Conversation) -> Difference | None:
    for number, (own, other) in enumerate(zip(target.turns, pair.turns, strict=True)):
        for position, (own_id, other_id) in enumerate(zip_longest(own.output_ids, other.output_ids)):
            if own_id != other_id:
                common = own.output_ids[:position]
                return Difference(target.question_id, number, position, common, own_id, other_id)
    return None
