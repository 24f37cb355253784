"""What each drafter would have got accepted on the target's own greedy answers, K drafts per verify step.

Greedy speculation does not change the output, so it can be measured on a finished answer: at every position count how
many of the drafter's K proposals agree with what follows, then walk through the answer as an engine would. As a draft
counts only where all drafts before it were right, each may be predicted with the true tokens before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from examples.tiny_family.recipe import DRAFT_LENGTH

if TYPE_CHECKING:
    from examples.tiny_family.eagle3 import Eagle3Head
    from examples.tiny_family.model import Llama

LONGEST_NGRAM, SHORTEST_NGRAM = 4, 2


@dataclass(frozen=True, slots=True)
class Answer:
    """``tokens``: the prompt, ``output_tokens`` of output, then K tokens past its end, which only serve to compare."""

    tokens: list[int]
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Steps:
    """Verify steps that had a draft, decode steps without one, and draft tokens accepted."""

    drafted: int
    undrafted: int
    accepted: int

    @property
    def tokens_per_decode_step(self) -> float | None:
        """1 + accepted per decode step, with or without a draft; ``None`` where the prefill gave the whole output."""
        steps = self.drafted + self.undrafted
        return 1 + self.accepted / steps if steps else None


Matches = Callable[[Answer], Sequence[int | None]]
"""For each position t of an answer's tokens: matching drafts after t (0..K), or ``None`` where nothing is proposed."""


def walk(answer: Answer, matches: Sequence[int | None]) -> Steps:
    """The verify steps of one answer; its first output token comes from the prefill and is no step."""
    drafted = undrafted = accepted = 0
    emitted = 1
    while emitted < answer.output_tokens:
        found = matches[answer.prompt_tokens + emitted - 1]
        if found is None:
            undrafted += 1
        else:
            drafted += 1
            accepted += found
        emitted += 1 + (found or 0)
    return Steps(drafted, undrafted, accepted)


def draft_model_matches(draft: Llama) -> Matches:
    """One pass: the run of positions from t on whose arg-max is the next token, at most K."""

    @torch.inference_mode()
    def count(answer: Answer) -> list[int | None]:
        ids = torch.tensor([answer.tokens])
        right = draft.logits(draft(ids))[0, :-1].argmax(-1) == ids[0, 1:]
        return _runs([right[step:] for step in range(DRAFT_LENGTH)], len(answer.tokens))

    return count


def eagle3_matches(target: Llama, head: Eagle3Head, kept: Tensor | None) -> Matches:
    """K passes of the head; ``kept`` are the target ids of a pruned draft vocabulary."""

    @torch.inference_mode()
    def count(answer: Answer) -> list[int | None]:
        ids = torch.tensor([answer.tokens])
        streams = target.model(ids)
        slots = len(answer.tokens) - DRAFT_LENGTH
        state = head.fuse([stream[:, :slots] for stream in streams])
        right: list[Tensor] = []
        for step, normed in enumerate(head.draft_states(state, streams[0][:, 1:])):
            logits = head.logits(normed)[0]
            proposed = logits.argmax(-1) if kept is None else kept[logits[:, kept].argmax(-1)]
            truth = ids[0, step + 2 :]
            right.append(proposed[: len(truth)] == truth[:slots])
        # Slot i drafts after token i + 1, so position t reads slot t - 1.
        return [None, *_runs(right, len(answer.tokens) - 1)]

    return count


def ngram_matches(answer: Answer) -> list[int | None]:
    """Prompt lookup: what followed the earliest earlier occurrence of the longest suffix of 4 to 2 tokens."""
    tokens = answer.tokens
    matches: list[int | None] = []
    earliest: list[dict[tuple[int, ...], int]] = [{} for _ in range(LONGEST_NGRAM + 1)]
    for position in range(len(tokens)):
        follow: int | None = None
        for size in range(LONGEST_NGRAM, SHORTEST_NGRAM - 1, -1):
            if position + 1 < size:
                continue
            suffix = tuple(tokens[position + 1 - size : position + 1])
            first = earliest[size].setdefault(suffix, position + 1)
            if follow is None and first <= position:
                follow = first
        matches.append(None if follow is None else _agreement(tokens, follow, position + 1))
    return matches


def _agreement(tokens: list[int], source: int, place: int) -> int:
    """How many of the K tokens at ``source`` equal those at ``place``."""
    agreed = 0
    available = min(DRAFT_LENGTH, place - source, len(tokens) - place)
    while agreed < available and tokens[source + agreed] == tokens[place + agreed]:
        agreed += 1
    return agreed


def _runs(right: list[Tensor], positions: int) -> list[int | None]:
    """Length of the run of agreeing drafts per position; ``right[k]`` says so for draft k + 1."""
    counts = torch.zeros(positions, dtype=torch.int64)
    alive = torch.ones(positions, dtype=torch.bool)
    for agreeing in right:
        padded = torch.zeros(positions, dtype=torch.bool)
        padded[: len(agreeing)] = agreeing
        alive &= padded
        counts += alive
    return list(counts.tolist())
