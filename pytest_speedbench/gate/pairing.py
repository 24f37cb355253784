"""Bringing two measurements of the same prompts together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.schema import Baseline, PromptEntry, output_sha256
from pytest_speedbench.metrics.acceptance import tokens_per_decode_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_speedbench.acceptance import AcceptanceRecord
    from pytest_speedbench.measure.run import Conversation, Run

ACCEPTANCE_LENGTH = "acceptance length"
TOKENS_PER_DECODE_STEP = "tokens per decode step"


@dataclass(frozen=True, slots=True)
class PromptPair:
    """One measured prompt on both sides.

    Attributes:
        question_id: the prompt.
        category: its category.
        baseline_al: the baseline's length in tokens per step; ``None`` if it has none.
        candidate_al: the same now.
        baseline_steps: decode steps over all turns.
        candidate_steps: the same now.
        turns: how many turns the prompt has.
        problem: why the two sides cannot be compared though they should be, in words; then the category does not pass.
    """

    question_id: str
    category: str
    baseline_al: float | None
    candidate_al: float | None
    baseline_steps: int = 0
    candidate_steps: int = 0
    turns: int = 1
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pairing:
    """All measured prompts with their baselines.

    Attributes:
        pairs: one per measured prompt, except those that the baseline lacks though it has their category.
        against: what the baseline is, in words.
        figure: the name of the compared length.
        baseline_prompts: prompts per category in the baseline, measured or not.
        notes: what a reader should know about the pairing.
        update_hint: how to accept the change as the new baseline; empty if there is no baseline file to update.
    """

    pairs: tuple[PromptPair, ...]
    against: str = "the baseline"
    figure: str = ACCEPTANCE_LENGTH
    baseline_prompts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    update_hint: str = ""


@dataclass(frozen=True, slots=True)
class _Side:
    """What one measurement knows of a prompt."""

    category: str
    turns: int
    prompt_sha256: str
    output_sha256: str
    record: AcceptanceRecord | None


def pair_up(baseline: Baseline | Run, run: Run) -> Pairing:
    """Pair the prompts of a run with those of a baseline, or of another run, by ``question_id``.

    The compared length is tokens per decode step: Σ(accepted + 1) plus one per step without a draft, over all those
    steps. Where every step had a draft, on both sides, that is the acceptance length, and is called so; where some had
    none, the acceptance length leaves them out and would praise a drafter for proposing less. Where the engine does not
    say which steps had none, the acceptance length is compared unless another prompt shows that there are such steps.

    Comparability of the two measurements as such is the acceptance keys' business, not looked at here.
    """
    before = _of_baseline(baseline) if isinstance(baseline, Baseline) else _of_run(baseline)
    after = _of_run(run)
    known_categories = {side.category for side in before.values()}
    records = [side.record for side in (*before.values(), *after.values()) if side.record is not None]
    undrafted = any(record.undrafted_steps for record in records)
    length = tokens_per_decode_step if undrafted else _acceptance_length
    pairs = tuple(
        _pair(question_id, before.get(question_id), side, length)
        for question_id, side in after.items()
        if question_id in before or side.category not in known_categories
    )
    return Pairing(
        pairs=pairs,
        against=_describe(baseline),
        figure=TOKENS_PER_DECODE_STEP if undrafted else ACCEPTANCE_LENGTH,
        baseline_prompts=_counts(before.values()),
        notes=tuple(_notes(before, after)),
        update_hint=(
            "If this change is intended, run the same tests with --speedbench-update and commit the new baseline."
            if isinstance(baseline, Baseline)
            else ""
        ),
    )


def _pair(
    question_id: str, before: _Side | None, after: _Side, length: Callable[[AcceptanceRecord], float | None]
) -> PromptPair:
    problem = ""
    if after.record is None:
        problem = "the engine gave no acceptance record"
    elif before is None:
        problem = "the baseline does not have this category"
    elif before.record is None:
        problem = "the baseline has no acceptance record"
    elif length is tokens_per_decode_step and None in (before.record.decode_steps, after.record.decode_steps):
        problem = "the engine does not say how many decode steps had no draft"
    elif before.category != after.category:
        problem = f"the baseline has it under {before.category}"
    elif before.prompt_sha256 != after.prompt_sha256:
        problem = "the rendered prompt differs (is there a date or a changed argument in the chat template?)"
    return PromptPair(
        question_id=question_id,
        category=after.category,
        baseline_al=length(before.record) if before and before.record else None,
        candidate_al=length(after.record) if after.record else None,
        baseline_steps=_steps(before),
        candidate_steps=_steps(after),
        turns=after.turns,
        problem=problem,
    )


def _notes(before: Mapping[str, _Side], after: Mapping[str, _Side]) -> Iterable[str]:
    not_measured = sorted({side.category for side in before.values()} - {side.category for side in after.values()})
    if not_measured:
        yield f"Not measured, so not compared: {', '.join(not_measured)}."
    both = [name for name in after if name in before]
    if len(both) < len(before):
        yield f"{len(both)} of the baseline's {len(before)} prompts were measured."
    if len(both) < len(after):
        yield f"{len(after) - len(both)} measured prompts are not in the baseline and were not compared."
    changed = sum(before[name].output_sha256 != after[name].output_sha256 for name in both)
    if changed:
        yield f"The output differs from the baseline's in {changed} of {len(both)} prompts."


def _of_baseline(baseline: Baseline) -> dict[str, _Side]:
    return {entry.id: _of_entry(entry, baseline) for entry in baseline.prompts}


def _of_entry(entry: PromptEntry, baseline: Baseline) -> _Side:
    return _Side(entry.category, entry.turns, entry.prompt_sha256, entry.output_sha256, entry.record(baseline.source))


def _of_run(run: Run) -> dict[str, _Side]:
    return {conversation.question_id: _of_conversation(conversation) for conversation in run.conversations}


def _of_conversation(conversation: Conversation) -> _Side:
    return _Side(
        conversation.category,
        len(conversation.turns),
        conversation.turns[0].prompt_sha256,
        output_sha256(conversation),
        conversation.acceptance,
    )


def _describe(baseline: Baseline | Run) -> str:
    if isinstance(baseline, Baseline):
        return f"the baseline of {baseline.pair} on {baseline.split}, recorded {baseline.recorded.date[:10]}"
    return f"{baseline.pair.name} on {baseline.split.name}"


def _counts(sides: Iterable[_Side]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for side in sides:
        counts[side.category] = counts.get(side.category, 0) + 1
    return counts


def _acceptance_length(record: AcceptanceRecord) -> float | None:
    return record.al


def _steps(side: _Side | None) -> int:
    return side.record.verify_steps + (side.record.undrafted_steps or 0) if side and side.record else 0
