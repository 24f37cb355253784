"""From what a drafter would have had accepted everywhere to the verify steps that decoding takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, VerifyStep
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput

Reach = Callable[[int], VerifyStep]
"""What the drafter's longest draft after output token j proposes, and how much of it equals the target's continuation.

It is asked where a step begins. A shorter draft is the beginning of the longest one, so one reach serves every length.
"""


@dataclass(frozen=True, slots=True)
class Judge:
    """A drafter in memory.

    Attributes:
        reaches: what it would have had accepted of each of some outputs.
        batch_tokens: how many tokens it reads at a time; more are read one batch after the other.
    """

    reaches: Callable[[Sequence[StoredOutput]], Sequence[Reach]]
    batch_tokens: int

    def __call__(self, outputs: Sequence[StoredOutput]) -> Sequence[Reach]:
        """What would have been accepted of each of these outputs."""
        return self.reaches(outputs)


def matching(draft: Sequence[int], continuation: Sequence[int]) -> int:
    """How many tokens of a draft equal the continuation before the first that does not, or before the known end."""
    for place, (drafted, stored) in enumerate(zip(draft, continuation, strict=False)):
        if drafted != stored:
            return place
    return min(len(draft), len(continuation))


def room(stored: StoredOutput, place: int, draft_length: int, context_tokens: int) -> int:
    """How long a draft after output token ``place`` may be: K, or less where the context ends.

    One place stays free for the bonus token.

    Raises:
        OutputsError: too little is stored past the end to judge such a draft.
    """
    longest = min(draft_length, context_tokens - len(stored.prompt_ids) - place - 2)
    known = len(stored.output_ids) + len(stored.overhang_ids) - place - 1
    if longest > known:
        raise OutputsError(
            f"{len(stored.overhang_ids)} tokens past the end are stored, too few for a draft length of {draft_length}.",
            "Record the outputs again for drafts of that length.",
        )
    return max(longest, 0)


def steps_of(stored: StoredOutput, reach: Reach, draft_length: int, context_tokens: int) -> tuple[VerifyStep, ...]:
    """The decode steps that decoding takes.

    The first output token comes of the prefill, which is no verify step. A step after output token j that accepts m
    tokens puts out m + 1, so the next one follows token j + m + 1.

    Args:
        stored: what the target put out.
        reach: what the drafter would have had accepted.
        draft_length: K, at most that of the longest drafts of ``reach``.
        context_tokens: the longest sequence.

    Raises:
        OutputsError: too little is stored past the end.
    """
    steps: list[VerifyStep] = []
    place, last = 0, len(stored.output_ids) - 1
    while place < last:
        most = room(stored, place, draft_length, context_tokens)
        longest = reach(place)
        steps.append(VerifyStep(min(longest.proposed_tokens, most), min(longest.accepted_tokens, most)))
        place += steps[-1].accepted_tokens + 1
    return tuple(steps)


def record_of(stored: StoredOutput, reach: Reach, draft_length: int, context_tokens: int) -> AcceptanceRecord:
    """The record that decoding gives; see :func:`steps_of`.

    What the last step accepts beyond the end is counted and discarded, as engines do.

    Raises:
        OutputsError: too little is stored past the end.
    """
    steps = steps_of(stored, reach, draft_length, context_tokens)
    made = 1 + sum(step.accepted_tokens + 1 for step in steps)
    return AcceptanceRecord.from_steps(
        steps,
        draft_length=draft_length,
        discarded_tokens=made - len(stored.output_ids),
        source=AcceptanceSource.REPLAY,
    )


def emitted(stored: StoredOutput, steps: Sequence[VerifyStep]) -> list[tuple[int, ...]]:
    """A stored output cut into what the prefill and each step put out; the last step's as the output's end left it."""
    ends = list(accumulate((step.accepted_tokens + 1 for step in steps), initial=1))
    return [stored.output_ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]
