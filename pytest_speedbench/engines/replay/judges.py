"""The drafters that can be replayed, each loaded into something that turns stored outputs into records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.replay.batches import batches, padded
from pytest_speedbench.engines.replay.draft_model import draft_model_reaches
from pytest_speedbench.engines.replay.eagle3 import eagle3_reach
from pytest_speedbench.engines.replay.medusa import MedusaHeads, medusa_reach
from pytest_speedbench.engines.replay.ngram import PromptLookup
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.eagle3_loading import load_eagle3_head
from pytest_speedbench.engines.transformers.hidden_states import HiddenStateTap
from pytest_speedbench.engines.transformers.loading import LoadedModel, Placement, load_language_model
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput

Judge = Callable[[Sequence[StoredOutput]], Sequence[Reach]]
"""What the drafter would have had accepted of each of these outputs."""


def load_judge(pair: Pair, drafter: Drafter, options: ReplayOptions, context_tokens: int) -> Judge:
    """Load a drafter.

    Args:
        pair: whose target a head reads.
        drafter: what is judged; its draft length is the longest that is asked.
        options: how it is computed.
        context_tokens: the longest sequence of the target.

    Raises:
        EngineError: it does not load, or does not fit the target.
    """
    if drafter.method is DrafterMethod.NGRAM:
        lookup = PromptLookup(drafter.draft_length, options.models.prompt_lookup_max, options.prompt_lookup_min)
        return lambda outputs: [lookup.reach(stored) for stored in outputs]
    if drafter.model is None:
        raise EngineError(f"The drafter {drafter} cannot be replayed.", "Decode with it.")
    placement = Placement.choose(options.models)
    checkpoint = open_checkpoint(drafter.model, download=True)
    if drafter.method is DrafterMethod.DRAFT_MODEL:
        model = load_language_model(checkpoint, placement).model
        return lambda outputs: draft_model_reaches(model, outputs, drafter.draft_length, options.batch_tokens)
    target = load_language_model(open_checkpoint(pair.model, download=True), placement)
    if drafter.method is DrafterMethod.MEDUSA:
        return _medusa(target, drafter, options)
    return _eagle3(target, drafter, options, context_tokens)


def _medusa(target: LoadedModel, drafter: Drafter, options: ReplayOptions) -> Judge:
    """Heads over the live target, whose last hidden state they read."""
    decoder: Any = target.model.get_decoder()
    checkpoint = open_checkpoint(str(drafter.model), download=True)
    heads = MedusaHeads.load(checkpoint, drafter.draft_length, target.model.get_input_embeddings().weight)

    def reaches(states: torch.Tensor, rows: Sequence[StoredOutput]) -> list[Reach]:
        return [medusa_reach(heads, states[row], stored) for row, stored in enumerate(rows)]

    return lambda outputs: _over_target(decoder, target, outputs, options, reaches)


def _eagle3(target: LoadedModel, drafter: Drafter, options: ReplayOptions, context_tokens: int) -> Judge:
    """A head over the live target, whose hidden states it reads."""
    checkpoint = open_checkpoint(str(drafter.model), download=True)
    loaded = load_eagle3_head(checkpoint, target.model, context_tokens + drafter.draft_length)
    decoder: Any = target.model.get_decoder()
    tap = HiddenStateTap(decoder, loaded.layer_ids)

    def reaches(_states: torch.Tensor, rows: Sequence[StoredOutput]) -> list[Reach]:
        return [
            eagle3_reach(loaded.head, tap.last(row), stored, drafter.draft_length) for row, stored in enumerate(rows)
        ]

    return lambda outputs: _over_target(decoder, target, outputs, options, reaches)


def _over_target(
    decoder: Any,
    target: LoadedModel,
    outputs: Sequence[StoredOutput],
    options: ReplayOptions,
    reaches: Callable[[torch.Tensor, Sequence[StoredOutput]], Sequence[Reach]],
) -> list[Reach]:
    """Have the target read every output; ``reaches`` judges a batch, [texts, longest, H] after the final norm."""
    texts = [stored.prompt_ids + stored.output_ids for stored in outputs]
    found: dict[int, Reach] = {}
    for places in batches([len(text) for text in texts], options.batch_tokens):
        ids = padded([texts[place] for place in places], target.model.device)
        with torch.inference_mode():
            states = decoder(input_ids=ids, use_cache=False).last_hidden_state
            found.update(zip(places, reaches(states, [outputs[place] for place in places]), strict=True))
    return [found[place] for place in range(len(outputs))]
