"""Runs as small tables of counts, and back again as runs that the gate can judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.measure.run import Conversation, Run, SplitIdentity, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.splits.schema import Split

Row = list[int]
"""One conversation: steps that accepted 0 … K tokens, steps without a draft, proposed tokens, output tokens."""


@dataclass(frozen=True, slots=True)
class PromptId:
    """Which conversation a row is about."""

    id: str
    category: str
    sub_category: str
    turns: int


def prompt_ids(split: Split) -> list[PromptId]:
    """The conversations of a split, in its order."""
    return [PromptId(p.question_id, p.category, p.sub_category, len(p.turns)) for p in split.prompts]


def rows_of(conversations: Iterable[Conversation]) -> list[Row]:
    """The counts of a run, in its order.

    Raises:
        ValueError: an engine did not say how many steps there were.
    """
    return [_row(conversation) for conversation in conversations]


def _row(conversation: Conversation) -> Row:
    record = conversation.acceptance
    if record is None or record.undrafted_steps is None or record.proposed_tokens is None:
        raise ValueError(f"the record of {conversation.question_id} is not complete")
    return [*record.histogram, record.undrafted_steps, record.proposed_tokens, conversation.output_tokens]


def run_of(name: str, prompts: Sequence[PromptId], rows: Sequence[Row]) -> Run:
    """A run with these counts; what the gate does not look at is made up, and every prompt's steps are in one turn.

    Raises:
        ValueError: counts that contradict each other, or other prompts than rows.
    """
    conversations = tuple(_conversation(prompt, row) for prompt, row in zip(prompts, rows, strict=True))
    return Run(
        pair=Pair(name, "stored", "bundled:target", Drafter.parse("ngram")),
        engine=EngineInfo("stored", "", {}, "CPU", 1, None, None, 4096, 2048, ()),
        models=ModelIdentity("target", "tokenizer", "template", None),
        split=SplitIdentity("mini", "", len(conversations)),
        sampling=Sampling(max(row[-1] for row in rows)),
        load=Load(),
        conversations=conversations,
        environment={},
    )


def _conversation(prompt: PromptId, row: Row) -> Conversation:
    *histogram, undrafted, proposed, output = row
    draft_length = len(histogram) - 1
    decoded = sum((accepted + 1) * steps for accepted, steps in enumerate(histogram)) + undrafted
    record = AcceptanceRecord(
        draft_length, tuple(histogram), proposed, undrafted, discarded_tokens=prompt.turns + decoded - output
    )
    empty = AcceptanceRecord.from_steps([], draft_length=draft_length, discarded_tokens=0)
    others = prompt.turns - 1
    turns = (_turn(prompt, output - others, record), *(_turn(prompt, 1, empty) for _ in range(others)))
    return Conversation(prompt.id, prompt.category, prompt.sub_category, turns)


def _turn(prompt: PromptId, tokens: int, record: AcceptanceRecord) -> Turn:
    return Turn(
        prompt_tokens=1,
        prompt_sha256=prompt.id,
        output_ids=tuple(range(tokens)),
        finish_reason="stop",
        start_s=0.0,
        emissions=((0.0, tokens),),
        acceptance=record,
    )


def prompts_to_json(prompts: Sequence[PromptId]) -> list[list[Any]]:
    """As lists, without the names of the fields."""
    return [[prompt.id, prompt.category, prompt.sub_category, prompt.turns] for prompt in prompts]


def prompts_from_json(rows: Sequence[Sequence[Any]]) -> list[PromptId]:
    """The way back."""
    return [PromptId(*row) for row in rows]
