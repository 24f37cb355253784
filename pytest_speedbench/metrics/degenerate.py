"""Degenerate output: outputs that say little about a drafter, or fake a good or a bad one.

Per conversation; a kind applies if it applies to any of its turns.

- *loop*: the output ends in a repetition: its last tokens have a period p (each equals the one p before it), at least
  4 times over, over at least 32 tokens, and over a quarter of the output or 128 tokens. Four times because lists and
  code repeat a line two or three times; 32 tokens because rows of a table or a drawn line are shorter; a quarter or 128
  because a shorter tail hardly moves the prompt's acceptance length. Only exact repetition counts: a loop that numbers
  its rounds is missed. An end-of-sequence token is not part of it.
- *near-empty*: the engine stopped by itself after at most 2 tokens besides the end-of-sequence token.
- *truncated*: cut off at the output limit.
- *not drafting*: an acceptance length below 1.05 over at least 16 verify steps: fewer may miss by chance.

What they do with ``tiny-eagle3``: of the 176 bundled prompts at 64 output tokens a turn, none is flagged but 61 as
truncated, and at 512 tokens none at all. Forced past its end to 256 tokens on 22 prompts, the target does loop: 3 of 35
outputs are flagged, all three over 109 tokens or more; 3 repeats would flag 5, and 2 repeats 11.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import DrafterMethod

if TYPE_CHECKING:
    from pytest_speedbench.measure.run import Conversation, Run, Turn

NOT_DRAFTING_BELOW_AL = 1.05
DOUBTFUL_SHARE = 0.05
"""Share of looping or near-empty outputs above which a category's verdict is in doubt.

At K = 3 a loop raises a prompt from about 2.5 to 4 tokens a step, so a twentieth of them moves the category by 3 %.
"""

_LEAST_REPEATS = 4
_LEAST_LOOP_TOKENS = 32
_LOOP_SHARE = 0.25
_LONG_LOOP_TOKENS = 128
_NEAR_EMPTY_TOKENS = 2
_LEAST_VERIFY_STEPS = 16
_TRUNCATED_APART = 0.1
_LEAST_TRUNCATED_APART = 3
_LISTED = 3


class DegenerateKind(str, Enum):
    """What can be wrong with an output; see the module's docstring."""

    LOOP = "loop"
    NEAR_EMPTY = "near-empty"
    TRUNCATED = "truncated"
    NOT_DRAFTING = "not drafting"


FAKING = frozenset({DegenerateKind.LOOP, DegenerateKind.NEAR_EMPTY})
"""The kinds that fake wins and losses. Truncation is normal under an output limit."""


@dataclass(frozen=True, slots=True)
class Degenerate:
    """What is wrong with one prompt's output.

    Attributes:
        question_id: the prompt.
        category: its category.
        kinds: what is wrong; empty for a sound output.
        unknown: what cannot be said, for want of data.
        al: acceptance length over the verify steps of all turns; ``None`` without a record or a verify step.
    """

    question_id: str
    category: str
    kinds: frozenset[DegenerateKind]
    unknown: frozenset[DegenerateKind] = frozenset()
    al: float | None = None


@dataclass(frozen=True, slots=True)
class DegenerateOutputs:
    """What is wrong with the outputs of a run.

    Attributes:
        outputs: one per prompt, sound ones included.
        method: how it was drafted; ``None`` if that is not known, or without a drafter.
    """

    outputs: tuple[Degenerate, ...]
    method: DrafterMethod | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories present, in alphabetical order."""
        return tuple(sorted({output.category for output in self.outputs}))

    @property
    def flagged(self) -> tuple[Degenerate, ...]:
        """The outputs with which something is wrong."""
        return tuple(output for output in self.outputs if output.kinds)

    def found(self, category: str, *kinds: DegenerateKind) -> Found:
        """The outputs of a category that are of any of these kinds, and of how many that can be said."""
        asked = frozenset(kinds)
        own = [output for output in self.outputs if output.category == category]
        flagged = tuple(output.question_id for output in own if output.kinds & asked)
        return Found(flagged, sum(bool(output.kinds & asked) or not output.unknown & asked for output in own), len(own))

    @property
    def not_drafting(self) -> dict[str, float]:
        """The categories in which hardly any draft token is accepted, with their mean acceptance length."""
        lengths = {
            category: [o.al for o in self.outputs if o.category == category and o.al is not None]
            for category in self.categories
        }
        means = {category: fmean(values) for category, values in lengths.items() if values}
        return {category: mean for category, mean in means.items() if mean < NOT_DRAFTING_BELOW_AL}

    def notes(self) -> tuple[str, ...]:
        """What a reader should know, in sentences; empty if all is sound and complete."""
        idle = self.not_drafting
        notes = [
            f"Hardly any draft token is accepted in {category} (AL {al:.2f}): {_why_idle(self.method)}"
            for category, al in idle.items()
        ]
        loops = self._listed(DegenerateKind.LOOP, self.categories)
        if loops:
            notes.append(
                f"Outputs end in a loop in {loops}: loops are easy to draft and fake a high acceptance length."
            )
        empty = self._listed(DegenerateKind.NEAR_EMPTY, self.categories)
        if empty:
            notes.append(f"Outputs are all but empty in {empty}: so few steps say nothing about a drafter.")
        single = self._listed(DegenerateKind.NOT_DRAFTING, [name for name in self.categories if name not in idle])
        if single:
            notes.append(f"Hardly any draft token is accepted in single prompts of {single}.")
        cut = sum(DegenerateKind.TRUNCATED in output.kinds for output in self.outputs)
        if cut:
            notes.append(f"{cut} of {len(self.outputs)} prompts have an output that was cut off at the output limit.")
        return tuple(notes)

    def _listed(self, kind: DegenerateKind, categories: Iterable[str]) -> str:
        found = {category: self.found(category, kind) for category in categories}
        return ", ".join(f"{category} ({hits.listed()})" for category, hits in found.items() if hits.question_ids)


@dataclass(frozen=True, slots=True)
class Found:
    """Flagged prompts, of so many that could be judged, of so many in all."""

    question_ids: tuple[str, ...]
    judged: int
    prompts: int

    @property
    def share(self) -> float | None:
        """Of those that could be judged; ``None`` if none could."""
        return len(self.question_ids) / self.judged if self.judged else None

    def listed(self) -> str:
        """``3 of 80: coding-12, coding-31, …``."""
        more = ", …" if len(self.question_ids) > _LISTED else ""
        return f"{self.counted()}: {', '.join(self.question_ids[:_LISTED])}{more}"

    def counted(self) -> str:
        """``3 of 80``, and of how many that is known if not of all."""
        if not self.judged:
            return "not known"
        known = "" if self.judged == self.prompts else f" (not known of {self.prompts - self.judged} more)"
        return f"{len(self.question_ids)} of {self.judged}{known}"


class StoredOutput(Protocol):
    """What a baseline keeps of a prompt's output; see ``PromptEntry`` of :mod:`pytest_speedbench.baselines.schema`."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def turns(self) -> int: ...  # noqa: D102
    @property
    def output_tokens(self) -> int: ...  # noqa: D102
    @property
    def histogram(self) -> tuple[int, ...]: ...  # noqa: D102


def degenerate(run: Run) -> DegenerateOutputs:
    """Look at every output of a run."""
    ends = run.engine.eos_token_ids
    return DegenerateOutputs(
        tuple(_of_conversation(conversation, ends) for conversation in run.conversations),
        run.pair.drafter.method if run.pair.drafter else None,
    )


def degenerate_stored(
    prompts: Iterable[StoredOutput], max_output_tokens: int, now: DegenerateOutputs, unchanged: Collection[str]
) -> DegenerateOutputs:
    """What can be said of a baseline's outputs, of which only the lengths were kept.

    Args:
        prompts: of the baseline.
        max_output_tokens: the output limit of every turn.
        now: of the run that is compared with it.
        unchanged: ids of the prompts whose outputs are the same in that run, token for token: what is known of those
            now was so before. Of the others, loops stay unknown.
    """
    known = {output.question_id: output for output in now.outputs if output.question_id in unchanged}
    return DegenerateOutputs(tuple(_of_stored(prompt, max_output_tokens, known.get(prompt.id)) for prompt in prompts))


def doubts(before: DegenerateOutputs, now: DegenerateOutputs) -> tuple[str, ...]:
    """Why a comparison of two runs could be misled by their outputs, in sentences; empty if nothing speaks for it.

    Said of a category: more than 5 % of the outputs of either side loop or are all but empty; one side was cut off at
    the output limit much more often than the other, by over 10 points and at least 3 prompts; the drafter of ``before``
    did not work, so that no loss can be seen.
    """
    notes = []
    idle = before.not_drafting
    for category in now.categories:
        then, faked = before.found(category, *FAKING), now.found(category, *FAKING)
        if max(then.share or 0, faked.share or 0) > DOUBTFUL_SHARE:
            notes.append(
                f"The verdict on {category} may be faked by degenerate output: looping or all but empty are "
                f"{faked.counted()} now, {then.counted()} before."
            )
        cut_then, cut = before.found(category, DegenerateKind.TRUNCATED), now.found(category, DegenerateKind.TRUNCATED)
        if _far_apart(cut_then, cut):
            notes.append(
                f"Cut off at the output limit in {category}: {cut.counted()} outputs now, {cut_then.counted()} before. "
                "The two sides did not say the same."
            )
        if category in idle:
            notes.append(
                f"Hardly any draft token was accepted in {category} before (AL {idle[category]:.2f}): no loss can be "
                "seen against a drafter that did not work."
            )
    return tuple(notes)


def repeated_tail(ids: Sequence[int]) -> tuple[int, int] | None:
    """The repetition that a sequence of tokens ends in.

    Returns:
        Its period and how many tokens it covers, both in tokens, the last round perhaps begun only; of several, the one
        of the shortest period. ``None`` if there is none that counts as a loop. Takes time linear in the tokens: the
        Z-algorithm on the reversed sequence gives for each period how far it reaches back.
    """
    enough = max(_LEAST_LOOP_TOKENS, min(_LOOP_SHARE * len(ids), _LONG_LOOP_TOKENS))
    for period, matched in _matches_of_prefix(ids[::-1], len(ids) // _LEAST_REPEATS):
        tokens = period + matched
        if tokens >= enough and tokens >= _LEAST_REPEATS * period:
            return period, tokens
    return None


def _matches_of_prefix(ids: Sequence[int], most_offset: int) -> Iterable[tuple[int, int]]:
    """For each offset from 1 on, how many tokens from there equal those from the start."""
    matches = [0] * (most_offset + 1)
    left = right = 0
    for offset in range(1, most_offset + 1):
        matched = min(right - offset, matches[offset - left]) if offset < right else 0
        while offset + matched < len(ids) and ids[matched] == ids[offset + matched]:
            matched += 1
        if offset + matched > right:
            left, right = offset, offset + matched
        matches[offset] = matched
        yield offset, matched


def _of_conversation(conversation: Conversation, ends: Collection[int]) -> Degenerate:
    kinds = {kind for turn in conversation.turns for kind in _of_turn(turn, ends)}
    record = conversation.acceptance
    unknown = frozenset({DegenerateKind.NOT_DRAFTING}) if record is None else frozenset[DegenerateKind]()
    if record is not None and _not_drafting(record):
        kinds.add(DegenerateKind.NOT_DRAFTING)
    al = record.al if record else None
    return Degenerate(conversation.question_id, conversation.category, frozenset(kinds), unknown, al)


def _of_turn(turn: Turn, ends: Collection[int]) -> Iterable[DegenerateKind]:
    ids = turn.output_ids
    said = ids[:-1] if ids and ids[-1] in ends else ids
    if repeated_tail(said) is not None:
        yield DegenerateKind.LOOP
    if turn.finish_reason == "length":
        yield DegenerateKind.TRUNCATED
    elif len(said) <= _NEAR_EMPTY_TOKENS:
        yield DegenerateKind.NEAR_EMPTY


def _of_stored(prompt: StoredOutput, limit: int, same: Degenerate | None) -> Degenerate:
    record = AcceptanceRecord(len(prompt.histogram) - 1, prompt.histogram, None)
    kinds, unknown = _from_length(prompt, limit) if same is None else (set(same.kinds), set[DegenerateKind]())
    kinds.discard(DegenerateKind.NOT_DRAFTING)
    if _not_drafting(record):
        kinds.add(DegenerateKind.NOT_DRAFTING)
    return Degenerate(prompt.id, prompt.category, frozenset(kinds), frozenset(unknown), record.al)


def _from_length(prompt: StoredOutput, limit: int) -> tuple[set[DegenerateKind], set[DegenerateKind]]:
    """Kinds, and what is unknown. Of several turns only the sum of their lengths is stored."""
    kinds, unknown = set(), {DegenerateKind.LOOP}
    if prompt.output_tokens == prompt.turns * limit:
        kinds.add(DegenerateKind.TRUNCATED)
    elif prompt.output_tokens >= limit:
        unknown.add(DegenerateKind.TRUNCATED)
    if prompt.turns > 1:
        unknown.add(DegenerateKind.NEAR_EMPTY)
    elif prompt.output_tokens <= _NEAR_EMPTY_TOKENS + 1 and not kinds:
        kinds.add(DegenerateKind.NEAR_EMPTY)
    return kinds, unknown


def _not_drafting(record: AcceptanceRecord) -> bool:
    low = record.al is not None and record.al < NOT_DRAFTING_BELOW_AL
    return low and record.verify_steps >= _LEAST_VERIFY_STEPS


def _far_apart(before: Found, now: Found) -> bool:
    """Counts are compared as shares, so that prompts of unknown fate weigh on neither side."""
    if before.share is None or now.share is None:
        return False
    apart = abs(before.share - now.share)
    return apart > _TRUNCATED_APART and apart * min(before.judged, now.judged) >= _LEAST_TRUNCATED_APART


def _why_idle(method: DrafterMethod | None) -> str:
    if method in (DrafterMethod.NGRAM, DrafterMethod.SUFFIX):
        return "what it looks up there is hardly ever what comes next."
    return "the drafter is probably not working there (wrong weights, vocabulary map or hidden-state layers?)."
