"""A multi-token-prediction layer that drafts every token, as vLLM has it: pass k over all places of the outputs.

As with an EAGLE head, the first pass reads the target's hidden states and the later ones what the layer made itself, at
those places where all drafts so far were right. They stand behind the verified pairs as further keys, of which each
sees its own place's only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from pytest_speedbench.engines.replay.batches import best_tokens
from pytest_speedbench.engines.replay.places import Places
from pytest_speedbench.engines.replay.targets import ReadBatch
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.outputs import StoredOutput


class _Pass:
    """Where the places of one pass stand: beside each other in their text's row, padded to the longest row."""

    def __init__(self, places: Places, texts: int) -> None:
        counts = torch.bincount(places.rows, minlength=texts)
        self.width = int(counts.max())
        first = counts.cumsum(0) - counts
        self.rows = places.rows
        self.slots = torch.arange(len(places), device=places.rows.device) - first[places.rows]
        self._texts = texts

    def spread(self, values: Tensor) -> Tensor:
        """[places, …] as [texts, width, …], zero where there is no place."""
        spread = values.new_zeros((self._texts, self.width, *values.shape[1:]))
        spread[self.rows, self.slots] = values
        return spread

    def gathered(self, values: Tensor) -> Tensor:
        """[texts, width, …] as [places, …]."""
        return values[self.rows, self.slots]


def mtp_chain_reaches(layers: Any, batch: ReadBatch, outputs: Sequence[StoredOutput], draft_length: int) -> list[Reach]:
    """What the first layer would have had accepted of a batch of outputs.

    Args:
        layers: an ``MtpModel``.
        batch: as the target read it, with its final hidden states.
        outputs: the batch's outputs.
        draft_length: K.
    """
    hidden, texts = batch.states(), len(batch.ids)
    places = Places(outputs, batch.rows, draft_length, hidden.device)
    pairs = hidden.shape[1] - 1
    cache = DynamicCache()
    positions = torch.arange(pairs, device=hidden.device).expand(texts, -1)
    seen = (positions[:1, None] <= positions[:1, :, None])[:, None]
    made = _run(layers, batch.ids[:, 1:], hidden[:, :pairs], positions, seen, cache, begins=True)
    streams = made[places.rows, places.last_read]
    own: list[tuple[int, Tensor]] = []
    """For every earlier pass of drafts, where its keys begin and which of them is a place's own."""
    for drafted in range(1, draft_length + 1):
        kept = places.keep(drafted, best_tokens(lambda part: _best_token(layers, part), streams, _vocabulary(layers)))
        if drafted == draft_length or not len(places):
            break
        at = _Pass(places, texts)
        own = [*((begin, slots[kept]) for begin, slots in own), (cache.get_seq_length(), at.slots)]
        made = _run(
            layers,
            at.spread(places.token_ids(drafted + 1)),
            at.spread(streams[kept]),
            at.spread(places.last_read + drafted),
            _seen(places, at, pairs, own),
            cache,
            begins=False,
        )
        streams = at.gathered(made)
    return places.reaches()


def _seen(places: Places, at: _Pass, pairs: int, own: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Which keys each place of a pass attends to, [texts, 1, width, keys]."""
    keys = own[-1][0] + at.width
    last = at.spread(places.last_read)
    seen = torch.arange(keys, device=last.device) <= last[..., None]
    seen[..., pairs:] = False
    for begin, slots in own:
        seen[at.rows, at.slots, begin + slots] = True
    return seen[:, None]


def _run(
    layers: Any,
    token_ids: Tensor,
    hidden: Tensor,
    positions: Tensor,
    seen: Tensor,
    cache: DynamicCache,
    *,
    begins: bool,
) -> Tensor:
    """The layer over some pairs [texts, pairs], whose keys are added to the cache: states before the last norm."""
    layer = layers.layers[0]
    embedded = layers.embed_tokens(token_ids)
    if begins:
        embedded[:, 0] = 0
    fused = layer.eh_proj(torch.cat((layer.enorm(embedded), layer.hnorm(hidden)), dim=-1))
    mask = torch.zeros(seen.shape, dtype=fused.dtype, device=fused.device)
    mask = mask.masked_fill(~seen, torch.finfo(fused.dtype).min)
    made: Tensor = layer.mtp_block(
        fused,
        attention_mask=mask,
        position_embeddings=layers.rotary_emb(fused, position_ids=positions),
        position_ids=positions,
        past_key_values=cache,
    )
    return made


def _best_token(layers: Any, streams: Tensor) -> Tensor:
    best: Tensor = layers.shared_head(layers.layers[0].post_norm(streams)).argmax(dim=-1)
    return best


def _vocabulary(layers: Any) -> int:
    size: int = layers.config.vocab_size
    return size
