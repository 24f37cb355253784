"""Why a decoded conversation is not what its replay said: every difference by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import DrafterMethod
from pytest_speedbench.measure.run import Conversation, Run, Turn

_HEADS = (DrafterMethod.EAGLE, DrafterMethod.EAGLE3)
_VLLM = ("vllm", "vllm-serve")

Margins = Mapping[str, Sequence[float] | None]
"""By how many nats the target preferred each token of a stored output, by the hash of its prompt."""


class Cause(str, Enum):
    """What kind of difference it is, in words."""

    NEAR_TIE = "output differs at a near tie"
    """The target held two tokens to be as probable as each other, within rounding, and took the other one."""
    NO_TIE = "output differs, and not at a tie"
    """The target was surer than rounding explains: another model, template or setting, or an engine that errs."""
    UNKNOWN_MARGIN = "output differs, and how near to a tie is not known"
    UNDRAFTED = "steps without a draft"
    """The same steps, of which one side counts some as verify steps and the other as steps without a draft."""
    DRAFT_LENGTHS = "drafts of other lengths"
    """The same steps accepted as much, of more or fewer proposed tokens."""
    PAST_THE_END = "drafts past the end"
    """As many steps, one of which accepted more or less, all of it beyond the output's end."""
    DRAFTER_NEAR_TIE = "near tie of the drafter"
    """The drafter proposes other tokens in another dtype."""
    CHUNKED_PREFILL = "chunked prefill"
    """The prompt may have been read in chunks, at whose ends the engine computes a head's keys of another token."""
    UNEXPLAINED = "not explained"


@dataclass(frozen=True, slots=True)
class ReplayDifference:
    """One conversation that was decoded otherwise than it was replayed.

    Attributes:
        question_id: the conversation.
        cause: of its first turn that differs.
        turn: that turn, counted from 0.
        position: the first output token that differs, counted from 0; ``None`` if only counts differ.
        margin_nats: by how much the target preferred the stored token there; ``None`` if that is not known, and for
            counts.
        replayed: the turn's record by replay.
        decoded: the same by the engine.
    """

    question_id: str
    cause: Cause
    turn: int
    position: int | None
    margin_nats: float | None
    replayed: AcceptanceRecord | None
    decoded: AcceptanceRecord | None


def differences_of(
    replayed: Sequence[Conversation],
    decoded: Sequence[Conversation],
    *,
    margins: Margins,
    limit_nats: float | None,
    unsteady: Collection[str] = (),
    cut: Collection[str] = (),
) -> list[ReplayDifference]:
    """Every conversation whose output or counts are not those of its replay, with the cause of the first difference.

    Args:
        replayed: by replay.
        decoded: the same conversations by an engine, in the same order.
        margins: of the stored outputs.
        limit_nats: the largest margin that rounding may turn over; ``None`` if that is not known.
        unsteady: ids of conversations whose replay differs between two dtypes.
        cut: ids of conversations that chunked prefill may have touched, as from :func:`may_be_cut`.
    """
    found = []
    for ours, theirs in zip(replayed, decoded, strict=True):
        for number, (one, other) in enumerate(zip(ours.turns, theirs.turns, strict=True)):
            position = _first_difference(one.output_ids, other.output_ids)
            if position is None and _same_counts(one.acceptance, other.acceptance):
                continue
            if position is not None:
                margin = _margin(margins.get(one.prompt_sha256), position)
                cause = _output_cause(margin, limit_nats)
            else:
                margin = None
                cause = _count_cause(one, other)
                if cause is Cause.UNEXPLAINED and ours.question_id in unsteady:
                    cause = Cause.DRAFTER_NEAR_TIE
                elif cause is Cause.UNEXPLAINED and ours.question_id in cut:
                    cause = Cause.CHUNKED_PREFILL
            records = one.acceptance, other.acceptance
            found.append(ReplayDifference(ours.question_id, cause, number, position, margin, *records))
            break  # what follows is another conversation
    return found


def may_be_cut(run: Run) -> set[str]:
    """Ids of conversations of a head on vLLM with a prompt that may have been read in chunks.

    vLLM 0.32 pairs the last hidden state of a chunk with the prompt's last token instead of the one that follows. A
    prompt is cut where it is longer than what the engine reads in a step, alone or with those that are read beside it:
    at worst the longest ones.
    """
    args, drafter = run.engine.args, run.pair.drafter
    budget = args.get("max_num_batched_tokens")
    if drafter is None or drafter.method not in _HEADS or run.engine.name not in _VLLM:
        return set()
    if not isinstance(budget, int) or not args.get("enable_chunked_prefill"):
        return set()
    lengths = sorted((turn.prompt_tokens for c in run.conversations for turn in c.turns), reverse=True)
    others = sum(lengths[: run.load.concurrency - 1])
    return {c.question_id for c in run.conversations if max(t.prompt_tokens for t in c.turns) + others > budget}


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    if one == other:
        return None
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _margin(margins: Sequence[float] | None, position: int) -> float | None:
    return None if margins is None or position >= len(margins) else margins[position]


def _output_cause(margin_nats: float | None, limit_nats: float | None) -> Cause:
    if margin_nats is None or limit_nats is None:
        return Cause.UNKNOWN_MARGIN
    return Cause.NEAR_TIE if margin_nats <= limit_nats else Cause.NO_TIE


def _same_counts(one: AcceptanceRecord | None, other: AcceptanceRecord | None) -> bool:
    """Whether all counts that both sides know are equal."""
    if one is None or other is None:
        return one is other
    return one.histogram == other.histogram and all(
        a == b for a, b in _counts(one, other) if a is not None and b is not None
    )


def _counts(one: AcceptanceRecord, other: AcceptanceRecord) -> tuple[tuple[int | None, int | None], ...]:
    return (
        (one.proposed_tokens, other.proposed_tokens),
        (one.undrafted_steps, other.undrafted_steps),
        (one.discarded_tokens, other.discarded_tokens),
    )


def _count_cause(one: Turn, other: Turn) -> Cause:
    """Why the counts of one output differ."""
    ours, theirs = one.acceptance, other.acceptance
    if ours is None or theirs is None or ours.draft_length != theirs.draft_length:
        return Cause.UNEXPLAINED
    if ours.histogram == theirs.histogram and ours.undrafted_steps == theirs.undrafted_steps:
        return Cause.DRAFT_LENGTHS
    if ours.histogram[1:] == theirs.histogram[1:] and _same_steps(ours, theirs):
        return Cause.UNDRAFTED
    if _one_step_past_the_end(ours, theirs):
        return Cause.PAST_THE_END
    return Cause.UNEXPLAINED


def _same_steps(one: AcceptanceRecord, other: AcceptanceRecord) -> bool:
    """Whether both took as many steps; one that does not count those without a draft may have taken as many."""
    steps = one.decode_steps, other.decode_steps
    return None in steps or steps[0] == steps[1]


def _one_step_past_the_end(one: AcceptanceRecord, other: AcceptanceRecord) -> bool:
    """Whether one step alone accepted otherwise, and what it accepted more or less was cut off.

    As many steps put out the same output, so whatever they accepted more in all lies beyond its end.
    """
    moved = [a - b for a, b in zip(one.histogram, other.histogram, strict=True) if a != b]
    if sorted(moved) != [-1, 1] or one.undrafted_steps != other.undrafted_steps:
        return False
    if one.discarded_tokens is None or other.discarded_tokens is None:
        return True
    return one.discarded_tokens - other.discarded_tokens == one.accepted_tokens - other.accepted_tokens
