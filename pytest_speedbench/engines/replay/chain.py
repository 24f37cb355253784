"""A head that drafts a chain, replayed: K passes over all places of some outputs, with the stored tokens as drafts.

Draft k + 1 matters only where drafts 1 … k were accepted, so the tokens between are known. What is not known without
computing it are the head's own hidden states, which stand in for the target's from the second draft on: pass k computes
them for every place where all drafts so far were right, attending to the keys of the target's hidden states up to the
place and to the keys of the drafts after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from pytest_speedbench.engines.replay.batches import MOST_SCORES, best_tokens
from pytest_speedbench.engines.replay.places import Places
from pytest_speedbench.engines.replay.targets import ReadBatch
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.head_layer import Entered
from pytest_speedbench.outputs import StoredOutput


class ChainHead(Protocol):
    """The arithmetic of one layer that drafts token by token."""

    @property
    def draft_vocab_size(self) -> int:
        """Tokens it can propose."""

    @property
    def window(self) -> int | None:
        """Tokens that its attention reaches, the one it is at included; ``None`` for all before it."""

    def enter(self, token_ids: Tensor, hidden: Tensor, positions: Tensor) -> Entered:
        """Everything up to the attention, for pairs of any leading shape."""

    def leave(self, residual: Tensor, mixed: Tensor) -> Tensor:
        """Everything after the attention: residual streams [pairs, H]."""

    def best_token(self, stream: Tensor) -> Tensor:
        """The most likely tokens, as target ids [pairs]."""


def chain_reaches(
    head: ChainHead, hidden: Tensor, batch: ReadBatch, outputs: Sequence[StoredOutput], draft_length: int
) -> list[Reach]:
    """What a head would have had accepted of a batch of outputs.

    Args:
        head: its arithmetic.
        hidden: what it reads of the target, [texts, longest, H].
        batch: as the target read it.
        outputs: the batch's outputs.
        draft_length: K.
    """
    places = Places(outputs, batch.rows, draft_length, hidden.device)
    last = batch.ids.shape[1] - 1
    pairs = head.enter(batch.ids[:, 1:], hidden[:, :last], torch.arange(last, device=hidden.device))
    at = (places.rows, places.last_read)
    streams = head.leave(pairs.residual[at], _attend(pairs.queries[at], pairs, places, (), head.window))
    drafts: list[tuple[Tensor, Tensor]] = []
    for drafted in range(1, draft_length + 1):
        kept = places.keep(drafted, best_tokens(head.best_token, streams, head.draft_vocab_size))
        if drafted == draft_length or not len(places):
            break
        drafts = [(keys[kept], values[kept]) for keys, values in drafts]
        made = head.enter(places.token_ids(drafted + 1), streams[kept], places.last_read + drafted)
        drafts.append((made.keys, made.values))
        streams = head.leave(made.residual, _attend(made.queries, pairs, places, drafts, head.window))
    return places.reaches()


def _attend(
    queries: Tensor, pairs: Entered, places: Places, drafts: Sequence[tuple[Tensor, Tensor]], window: int | None
) -> Tensor:
    """Attention of one pair per place to the verified pairs up to the last one read, and to the place's own drafts.

    Args:
        queries: [places, heads, head_dim].
        pairs: of the batch: keys and values [texts, pairs, kv_heads, head_dim].
        places: in the order of their rows.
        drafts: keys and values of the places' own pairs, each [places, kv_heads, head_dim].
        window: how many pairs are reached, the queries' own included; ``None`` for all.

    Returns:
        [places, heads, head_dim].
    """
    mixed = torch.empty_like(queries)
    end = 0
    for row, count in enumerate(torch.bincount(places.rows, minlength=len(pairs.keys)).tolist()):
        begin, end = end, end + count
        visible = int(places.last_read[begin:end].max()) + 1 if count else 0
        at_a_time = max(1, MOST_SCORES // max(1, visible * queries.shape[1]))
        for start in range(begin, end, at_a_time):
            part = slice(start, min(start + at_a_time, end))
            mixed[part] = _attend_row(
                queries[part],
                pairs.keys[row, :visible],
                pairs.values[row, :visible],
                places.last_read[part],
                [(keys[part], values[part]) for keys, values in drafts],
                window,
            )
    return mixed


def _attend_row(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    last_read: Tensor,
    drafts: Sequence[tuple[Tensor, Tensor]],
    window: int | None,
) -> Tensor:
    """:func:`_attend` within one text, ``keys`` and ``values`` being [pairs, kv_heads, head_dim]."""
    places, heads, head_dim = queries.shape
    pairs, kv_heads = keys.shape[:2]
    grouped = (queries / head_dim**0.5).view(places, kv_heads, -1, head_dim)
    rows = grouped.transpose(0, 1).reshape(kv_heads, -1, head_dim)
    scores = (rows @ keys.permute(1, 2, 0)).view(kv_heads, places, -1, pairs)
    positions = torch.arange(pairs, device=queries.device)[None]
    hidden = positions > last_read[:, None]
    if window is not None:
        # The queries are as many pairs further on as there are drafts, and leave the earliest of these behind too.
        hidden |= positions <= last_read[:, None] + len(drafts) - window
        drafts = drafts[-window:]
    scores = scores.masked_fill(hidden[None, :, None], float("-inf"))
    own = [(grouped * drafted[:, :, None]).sum(-1).transpose(0, 1)[..., None] for drafted, _ in drafts]
    weights = torch.softmax(torch.cat((scores, *own), dim=-1), dim=-1)
    verified = weights[..., :pairs].reshape(kv_heads, -1, pairs) @ values.transpose(0, 1)
    mixed = verified.view(kv_heads, places, -1, head_dim).transpose(0, 1)
    for number, (_, drafted) in enumerate(drafts):
        mixed = mixed + weights[..., pairs + number].transpose(0, 1)[..., None] * drafted[:, :, None]
    return mixed.reshape(places, heads, head_dim)
