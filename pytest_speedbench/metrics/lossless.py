"""Greedy speculation is lossless: the pair's output must be the target's own, token for token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from pytest_speedbench.measure.run import Conversation, Run
from pytest_speedbench.numerics import near_tie_limit


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


@dataclass(frozen=True, slots=True)
class Judged:
    """A difference, and how much more probable the target held its own token than the pair's.

    Attributes:
        difference: where and what.
        margin_nats: log-probability of the target's token less that of the pair's; ``None`` if the engine does not say,
            or if one output ended where the other went on.
        near_tie: whether rounding alone explains it; ``None`` if that cannot be said.
    """

    difference: Difference
    margin_nats: float | None
    near_tie: bool | None

    @classmethod
    def of(cls, difference: Difference, log_probabilities: Mapping[int, float] | None, dtype: str | None) -> Judged:
        """Judge a difference by the target's most probable tokens there.

        A token that is not among them is far from a tie. ``log_probabilities`` is ``None`` if the engine does not say.
        """
        limit, ours, theirs = near_tie_limit(dtype), difference.target_id, difference.pair_id
        if log_probabilities is None or limit is None or ours is None or theirs is None:
            return cls(difference, None, None)
        if ours not in log_probabilities or theirs not in log_probabilities:
            return cls(difference, None, False)
        margin = log_probabilities[ours] - log_probabilities[theirs]
        return cls(difference, margin, abs(margin) <= limit)


def differences(target: Run, pair: Run) -> tuple[Difference, ...]:
    """The first difference of every conversation that has one, over those that the target alone was asked.

    Later turns of a conversation are not compared after a difference: they had another prompt.

    Raises:
        ValueError: the pair was not asked all of them.
    """
    others = {conversation.question_id: conversation for conversation in pair.conversations}
    missing = [c.question_id for c in target.conversations if c.question_id not in others]
    if missing:
        raise ValueError(f"the pair was not asked {missing[0]!r}, so its output cannot be compared")
    found = (first_difference(own, others[own.question_id]) for own in target.conversations)
    return tuple(difference for difference in found if difference is not None)


def first_difference(target: Conversation, pair: Conversation) -> Difference | None:
    """Where one conversation leaves the target's own output first; ``None`` if it does not."""
    for number, (own, other) in enumerate(zip(target.turns, pair.turns, strict=True)):
        for position, (own_id, other_id) in enumerate(zip_longest(own.output_ids, other.output_ids)):
            if own_id != other_id:
                common = own.output_ids[:position]
                return Difference(target.question_id, number, position, common, own_id, other_id)
    return None
