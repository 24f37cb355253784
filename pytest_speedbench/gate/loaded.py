"""Whether the drafter that is judged was loaded at all: another drafter that drafts the very same is suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.measure.run import Run

if TYPE_CHECKING:
    from pytest_speedbench.baselines.schema import Baseline

LEAST_STEPS = 100
"""Fewer verify steps may be equal by chance."""


@dataclass(frozen=True, slots=True)
class SameDrafts:
    """Another drafter than the reference's, all of whose records are the reference's.

    Attributes:
        sentence: what was seen.
        failed: whether the engine was not told which drafter to load, so that the reference's may have drafted.
    """

    sentence: str
    failed: bool


def same_drafts(reference: Baseline | Run, runs: Sequence[Run]) -> SameDrafts | None:
    """Whether a run's drafter is another one and its records are all the same; ``None`` if not.

    Where something can be told of neither, or where the steps are too few or all alike, nothing is said.
    """
    run = runs[0]
    before, now = _drafter_of(reference), _drafter_of(run)
    if not _differ(before, now):
        return None
    then = _records_of(reference)
    both = [(then[c.question_id], c.acceptance) for c in run.conversations if c.question_id in then]
    if not both or not all(one is not None and other is not None and _equal(one, other) for one, other in both):
        return None
    records = [record for _, record in both if record is not None]
    outcomes = [sum(counts) for counts in zip(*(record.histogram for record in records), strict=True)]
    if sum(outcomes) < LEAST_STEPS or sum(count > 0 for count in outcomes) < 2:
        return None
    seen = (
        f"The drafter {now[0]} is another one than {before[0]} of {_words(reference)}, and the counts of all "
        f"{len(both)} prompts are the same"
    )
    if run.pair.server is None:
        return SameDrafts(f"{seen}: do the two hold the same weights?", failed=False)
    return SameDrafts(
        f"{seen}: {run.pair.server[0].lower()}{run.pair.server[1:]} seems to draft with the old one still.", failed=True
    )


def _drafter_of(side: Baseline | Run) -> tuple[str, str | None]:
    if isinstance(side, Run):
        return str(side.pair.drafter), side.models.drafter_sha256
    return side.recorded.drafter, side.recorded.drafter_sha256


def _differ(before: tuple[str, str | None], now: tuple[str, str | None]) -> bool:
    """Whether two drafters are certainly not the same: of another method, or with other weights."""
    (one, one_sha256), (other, other_sha256) = before, now
    if one.partition(":")[0] != other.partition(":")[0]:
        return True
    return None not in (one_sha256, other_sha256) and one_sha256 != other_sha256


def _records_of(side: Baseline | Run) -> dict[str, AcceptanceRecord | None]:
    if isinstance(side, Run):
        return {conversation.question_id: conversation.acceptance for conversation in side.conversations}
    return {entry.id: entry.record(side.source) for entry in side.prompts}


def _equal(one: AcceptanceRecord, other: AcceptanceRecord) -> bool:
    """Whether all counts that both sides know are equal."""
    counts = (
        (one.proposed_tokens, other.proposed_tokens),
        (one.undrafted_steps, other.undrafted_steps),
        (one.discarded_tokens, other.discarded_tokens),
    )
    return one.histogram == other.histogram and all(a == b for a, b in counts if a is not None and b is not None)


def _words(side: Baseline | Run) -> str:
    return f"the run of {side.pair.name}" if isinstance(side, Run) else f"the baseline of {side.pair}"
