"""The target's own multi-token-prediction layers replayed: every layer once over all places of the outputs.

Layer k, counted from 0, reads at token t what layer k - 1 made there (the target's final hidden state for k = 0) and
the embedding of token t + 1 + k, and drafts token t + 2 + k. Where its drafts matter all earlier ones were accepted, so
the tokens that it reads are the stored ones; and as decoding computes the keys of rejected drafts anew, its attention
sees none but theirs. So nothing has to be drafted one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pytest_speedbench.engines.replay.batches import best_tokens, padded
from pytest_speedbench.engines.replay.mtp_chain import mtp_chain_reaches
from pytest_speedbench.engines.replay.mtp_rules import drafts_in_a_chain
from pytest_speedbench.engines.replay.places import Places
from pytest_speedbench.engines.replay.targets import Head, ReadBatch
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.loading import LoadedModel
from pytest_speedbench.engines.transformers.own_generators import load_mtp_layers
from pytest_speedbench.outputs import StoredOutput


def mtp_head(target: LoadedModel, draft_length: int, engine: str) -> Head:
    """Load the layers that belong to a target's checkpoint.

    Args:
        target: the loaded target.
        draft_length: K; transformers drafts one token with each layer.
        engine: whose drafts are replayed.

    Raises:
        EngineError: they do not load.
    """
    layers = load_mtp_layers(target.model)

    def chained(batch: ReadBatch, outputs: Sequence[StoredOutput]) -> list[Reach]:
        return mtp_chain_reaches(layers, batch, outputs, draft_length)

    def reaches(batch: ReadBatch, outputs: Sequence[StoredOutput]) -> list[Reach]:
        if layers.num_mtp_layers == 1:
            return _reaches(layers, batch.states(), batch.ids, batch.rows, outputs)
        found: list[Reach] = []
        # The second layer reads past the end of an output, where the text that it shares with a later one goes on
        # otherwise: every output becomes a text of its own, in as many goes as keep the batch's size.
        for start in range(0, len(outputs), len(batch.ids)):
            part = slice(start, start + len(batch.ids))
            text = padded([stored.prompt_ids + stored.continued for stored in outputs[part]], batch.ids.device)
            hidden = batch.states()[list(batch.rows[part])]
            found += _reaches(layers, hidden, text, range(len(text)), outputs[part])
        return found

    return Head((), reads_final=True, reaches=chained if drafts_in_a_chain(engine) else reaches)


def _reaches(
    layers: Any, hidden: Tensor, text: Tensor, rows: Sequence[int], outputs: Sequence[StoredOutput]
) -> list[Reach]:
    """What the layers would have had accepted of some outputs.

    Args:
        layers: an ``MtpModel``.
        hidden: the target's final hidden states, [texts, longest, H].
        text: the tokens that go with them and those after the end, [texts, tokens].
        rows: in which row each output stands.
        outputs: what the target put out.
    """
    draft_length, device = layers.num_mtp_layers, hidden.device
    places = Places(outputs, rows, draft_length, device)
    pairs = min(hidden.shape[1], text.shape[1]) - 1
    hidden, text = hidden[:, :pairs], F.pad(text, (0, draft_length))
    for depth in range(draft_length):
        read = slice(1 + depth, 1 + depth + pairs)
        positions = torch.arange(read.start, read.stop, device=device).expand(len(text), -1)
        hidden = layers.forward_layer(depth, hidden, positions, None, input_ids=text[:, read])
        drafts = best_tokens(_best_token(layers), hidden[places.rows, places.last_read], layers.config.vocab_size)
        places.keep(depth + 1, drafts)
        if not len(places):
            break
    return places.reaches()


def _best_token(layers: Any) -> Callable[[Tensor], Tensor]:
    """The layers' own projection to the vocabulary: some models scale it, or leave out padding."""
    return lambda hidden: layers._project_to_logits(hidden).argmax(dim=-1)  # noqa: SLF001
