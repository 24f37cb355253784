"""What TensorRT-LLM says of a finished request becomes the acceptance record.

It has no histogram. Every streamed response carries the number of decoding iterations so far, so that the tokens of
each iteration are known, and merged ones are noticed. The request's performance metrics may add how many draft tokens
were proposed and accepted. The PyTorch backend of 1.0 to 1.2 leaves them at zero unless the TRTLLMSampler is used, so
zero means that nobody counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.errors import EngineError

_REPORT = "Report it with TensorRT-LLM's version and the request's settings."


@dataclass(frozen=True, slots=True)
class Response:
    """One streamed response: decoding iterations so far, the prefill's included, and the tokens that it brought."""

    iterations: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The speculative section of a request's performance metrics."""

    proposed_tokens: int
    accepted_tokens: int


@dataclass(frozen=True, slots=True)
class Drafts:
    """What the pair lets a step propose.

    Attributes:
        draft_length: K, for a tree its depth.
        tree_tokens: as in the record.
        varies: whether steps may propose different numbers of tokens.
    """

    draft_length: int
    tree_tokens: int | None = None
    varies: bool = False


def acceptance_record(responses: Sequence[Response], totals: Totals | None, drafts: Drafts) -> AcceptanceRecord | None:
    """The record of one finished request; ``None`` when it cannot be known.

    Args:
        responses: all of them in order, the prefill's first.
        totals: ``None`` if the request has no metrics.
        drafts: what was to be expected.

    Raises:
        EngineError: the counts contradict each other.
    """
    steps = accepted_per_step(responses)
    if steps is None:
        return None
    if any(accepted > drafts.draft_length for accepted in steps):
        raise contradiction(f"one iteration emitted {max(steps) + 1} tokens at a draft length of {drafts.draft_length}")
    if totals is None or totals.proposed_tokens == 0:
        return _from_stream(steps, drafts) if steps else _of_no_step(drafts)
    end_kept_back = any(response.tokens == 0 for response in responses[: len(steps) + 1])
    return _from_totals(steps, totals, drafts, end_tokens=int(end_kept_back))


def accepted_per_step(responses: Sequence[Response]) -> list[int] | None:
    """Draft tokens that each decode step is seen to have accepted; ``None`` when responses are no single iterations.

    An iteration whose only token was an end of sequence that is not emitted counts as none accepted.
    """
    if not responses or responses[0] != Response(1, 1):
        return None
    steps: list[int] = []
    for before, response in pairwise(responses):
        iterations = response.iterations - before.iterations
        if (iterations, response.tokens) == (0, 0):
            continue  # only says that the request is finished
        if iterations != 1:
            return None
        steps.append(max(response.tokens - 1, 0))
    return steps


def _of_no_step(drafts: Drafts) -> AcceptanceRecord:
    """The prefill was all, which needs no counting: it goes with records of either source."""
    return AcceptanceRecord(
        drafts.draft_length, _histogram((), drafts.draft_length), 0, 0, 0, tree_tokens=drafts.tree_tokens
    )


def _from_stream(steps: Sequence[int], drafts: Drafts) -> AcceptanceRecord:
    return AcceptanceRecord(
        draft_length=drafts.draft_length,
        histogram=_histogram(steps, drafts.draft_length),
        proposed_tokens=None,
        undrafted_steps=None,
        source=AcceptanceSource.STREAM,
        tree_tokens=drafts.tree_tokens,
    )


def _from_totals(steps: list[int], totals: Totals, drafts: Drafts, *, end_tokens: int) -> AcceptanceRecord | None:
    length, seen = drafts.draft_length, sum(steps)
    # What was accepted and not emitted was cut off at the end, so it belongs to the last step.
    cut = totals.accepted_tokens - seen
    if not steps or not 0 <= cut <= length - steps[-1] or totals.proposed_tokens < totals.accepted_tokens:
        raise contradiction(
            f"its metrics have {totals.accepted_tokens} of {totals.proposed_tokens} draft tokens accepted, and {seen} "
            f"were emitted in {len(steps)} iterations"
        )
    steps[-1] += cut
    verified = _verify_steps(steps, totals.proposed_tokens, drafts)
    if verified is None:
        return None
    undrafted = len(steps) - verified
    histogram = list(_histogram(steps, length))
    histogram[0] -= undrafted
    try:
        return AcceptanceRecord(
            draft_length=length,
            histogram=tuple(histogram),
            # Of a tree it counts the longest path, not the tokens.
            proposed_tokens=totals.proposed_tokens if drafts.tree_tokens is None else None,
            undrafted_steps=undrafted,
            # Whether tokens behind the end are counted depends on the backend: only some that were prove it.
            discarded_tokens=cut + end_tokens if cut else None,
            tree_tokens=drafts.tree_tokens,
        )
    except ValueError as error:
        raise contradiction(str(error)) from error


def _verify_steps(steps: Sequence[int], proposed: int, drafts: Drafts) -> int | None:
    """How many steps had a draft; ``None`` when the counts leave it open."""
    length = drafts.draft_length
    least = max(sum(1 for accepted in steps if accepted), -(-proposed // length))
    most = min(len(steps), proposed)
    if least > most:
        raise contradiction(f"{proposed} draft tokens cannot be in {len(steps)} iterations of at most {length}")
    if not drafts.varies and proposed % length == 0:
        return least if least * length == proposed else None
    return least if least == most else None


def _histogram(steps: Sequence[int], draft_length: int) -> tuple[int, ...]:
    return tuple(steps.count(accepted) for accepted in range(draft_length + 1))


def contradiction(words: str) -> EngineError:
    """What to say of figures that cannot be."""
    return EngineError(f"TensorRT-LLM's acceptance figures contradict themselves: {words}.", _REPORT)
