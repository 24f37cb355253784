"""The prompts of a baseline: what is kept of each one's acceptance and output."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import msgspec

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.measure.openings import opening_sha256
from pytest_speedbench.metrics.speedbench_compat import last_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.measure.run import Conversation, Run

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Name = Annotated[str, msgspec.Meta(min_length=1)]


class InputLength(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The length of a first turn that was cut or filled.

    Attributes:
        isl_tokens: in the tokens in which the length was asked, the text by itself.
        served_tokens: in the target's, with its chat template.
    """

    isl_tokens: Count
    served_tokens: Count


class PromptEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One prompt's statistics, its turns pooled. See :class:`~pytest_speedbench.acceptance.AcceptanceRecord`.

    Attributes:
        id: the prompt's ``question_id``.
        histogram: ``histogram[j]`` is the number of verify steps that accepted exactly ``j`` draft tokens, j = 0 … K.
        prompt_sha256: hash of the first turn's rendered prompt; later turns contain replies, so they are not in it.
        output_sha256: hash of all turns' output ids: equal hashes mean equal outputs, token for token.
        input_length: of a first turn that was cut or filled; ``None`` for one whose length is its own.
        tree_tokens: the most draft tokens of one step, where steps draft trees; ``None`` for chains.
        reached: as in the record, where drafts were of different lengths.
        cuts: of every turn whose last step was cut or holds an end-of-sequence token, how many tokens the step made and
            how many SPEED-Bench's tool counts of it; ``None`` where that is not known.
        opening_sha256: hash of the first output ids of the first turn, of at most 16; ``None`` in baselines without.
    """

    id: Name
    category: Name
    sub_category: str
    turns: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    output_tokens: Count
    histogram: Annotated[tuple[Count, ...], msgspec.Meta(min_length=2)]
    proposed_tokens: Count | None
    undrafted_steps: Count | None
    discarded_tokens: Count | None
    prompt_sha256: Name
    output_sha256: Name
    input_length: InputLength | None = None
    tree_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    cuts: tuple[tuple[Count, Count], ...] | None = None
    reached: tuple[Count, ...] | None = None
    opening_sha256: Name | None = None

    def record(self, source: AcceptanceSource) -> AcceptanceRecord:
        """The acceptance record these counts are.

        Raises:
            ValueError: the counts contradict each other; the prompt is named.
        """
        try:
            record = AcceptanceRecord(
                len(self.histogram) - 1,
                self.histogram,
                self.proposed_tokens,
                self.undrafted_steps,
                self.discarded_tokens,
                source,
                self.tree_tokens,
                self.reached,
            )
        except ValueError as error:
            raise ValueError(f"prompt {self.id!r}: {error}") from None
        if self.cuts is not None and (len(self.cuts) > self.turns or any(made < kept for made, kept in self.cuts)):
            raise ValueError(f"prompt {self.id!r}: the cuts {self.cuts} cannot be of the last steps of its turns")
        contradiction = record.contradiction(self.output_tokens, self.turns)
        if contradiction:
            raise ValueError(f"prompt {self.id!r}: {contradiction}")
        return record


def prompt_entries(run: Run) -> tuple[PromptEntry, ...]:
    """The statistics of a run's prompts, in the split's order.

    Raises:
        BaselineError: records are missing, or counts contradict each other.
    """
    missing = [c.question_id for c in run.conversations if c.acceptance is None]
    if missing:
        raise BaselineError(
            f"The run of {run.pair.name!r} has no acceptance record for {len(missing)} of {len(run.conversations)} "
            f"prompts ({some(missing)}), so it cannot become a baseline.",
            "Turn on the engine's per-request acceptance metrics and measure again.",
        )
    try:
        check_unique([c.question_id for c in run.conversations])
        entries = tuple(_entry(c, record) for c in run.conversations if (record := c.acceptance) is not None)
        for entry in entries:
            entry.record(AcceptanceSource.ENGINE)
        _check_records(run)
    except ValueError as error:
        raise BaselineError(
            f"The run of {run.pair.name!r} contradicts itself: {error}.",
            "This is a fault of the engine's adapter or of the split, not of the drafter: report it.",
        ) from error
    return entries


def _check_records(run: Run) -> None:
    for conversation in run.conversations:
        if conversation.contradiction:
            raise ValueError(f"prompt {conversation.question_id!r}: {conversation.contradiction}")


def output_sha256(conversation: Conversation) -> str:
    """Hash of all turns' output ids."""
    digest = hashlib.sha256()
    for turn in conversation.turns:
        digest.update(",".join(map(str, turn.output_ids)).encode() + b";")
    return digest.hexdigest()


def check_unique(ids: Iterable[str]) -> None:
    """Make sure that no id occurs twice.

    Raises:
        ValueError: some do; they are named.
    """
    twice = [name for name, times in Counter(ids).items() if times > 1]
    if twice:
        raise ValueError(f"prompt ids that occur more than once: {some(twice)}")


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _entry(conversation: Conversation, record: AcceptanceRecord) -> PromptEntry:
    return PromptEntry(
        id=conversation.question_id,
        category=conversation.category,
        sub_category=conversation.sub_category,
        turns=len(conversation.turns),
        output_tokens=conversation.output_tokens,
        histogram=record.histogram,
        proposed_tokens=record.proposed_tokens,
        undrafted_steps=record.undrafted_steps,
        discarded_tokens=record.discarded_tokens,
        prompt_sha256=conversation.turns[0].prompt_sha256,
        output_sha256=output_sha256(conversation),
        input_length=None
        if conversation.isl_tokens is None
        else InputLength(conversation.isl_tokens, conversation.turns[0].prompt_tokens),
        tree_tokens=record.tree_tokens,
        cuts=last_steps(conversation),
        reached=record.reached,
        opening_sha256=opening_sha256(conversation.turns[0].output_ids),
    )
