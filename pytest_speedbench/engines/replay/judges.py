"""The drafters that can be replayed, each loaded into something that turns stored outputs into records."""

from __future__ import annotations

from functools import partial

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.replay.draft_model import draft_model_reaches
from pytest_speedbench.engines.replay.eagle import eagle_head
from pytest_speedbench.engines.replay.eagle3 import eagle3_head
from pytest_speedbench.engines.replay.medusa import medusa_head
from pytest_speedbench.engines.replay.mtp import mtp_head
from pytest_speedbench.engines.replay.mtp_rules import check_mtp_drafts
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.sampled_drafts import sampled_draft_reaches
from pytest_speedbench.engines.replay.stored_target import open_stored_target
from pytest_speedbench.engines.replay.targets import LiveTarget, TargetStates
from pytest_speedbench.engines.replay.walk import Judge
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.engines.vocabularies import drafts_below
from pytest_speedbench.errors import EngineError

_WITHOUT_THE_FIRST_TOKEN = ("sglang", "sglang-serve")
"""SGLang 0.5.23 runs a draft model as it runs a head, whose first pair is that of the second token."""


def load_judge(
    pair: Pair, drafter: Drafter, options: ReplayOptions, context_tokens: int, drawn_at: float | None = None
) -> Judge:
    """Load a drafter that needs a model.

    Args:
        pair: whose target a head reads.
        drafter: what is judged; its draft length is the longest that is asked.
        options: how it is computed.
        context_tokens: the longest sequence of the target.
        drawn_at: the temperature that a draft model draws at; ``None`` for greedy drafts.

    Raises:
        EngineError: it does not load, or does not fit the target.
    """
    placement = Placement.choose(options.models)
    batch_tokens = options.tokens_at_a_time(placement.device.type)
    if drafter.method is DrafterMethod.MTP:
        folder = open_checkpoint(pair.model, download=True)
        check_mtp_drafts(folder, options, drafter.draft_length)
        live = load_language_model(folder, placement)
        layers = mtp_head(live, drafter.draft_length, options.engine)
        return Judge(partial(layers.judged, LiveTarget(live, batch_tokens)), batch_tokens)
    if drafter.model is None:
        raise EngineError(f"The drafter {drafter} cannot be replayed.", "Decode with it.")
    checkpoint = open_checkpoint(drafter.model, download=True)
    if drafter.method is DrafterMethod.DRAFT_MODEL:
        model = load_language_model(checkpoint, placement).model
        length = drafter.draft_length
        below = drafts_below(open_checkpoint(pair.model, download=True), checkpoint)
        if drawn_at is None:
            unread = 1 if options.engine in _WITHOUT_THE_FIRST_TOKEN else 0
            return Judge(
                lambda rows: draft_model_reaches(model, rows, length, batch_tokens, unread, below), batch_tokens
            )
        return Judge(
            lambda rows: sampled_draft_reaches(model, rows, length, batch_tokens, drawn_at, below), batch_tokens
        )
    target = _target(pair, options, placement)
    if drafter.method is DrafterMethod.MEDUSA:
        head = medusa_head(checkpoint, target.frame, drafter.draft_length)
    elif drafter.method is DrafterMethod.EAGLE:
        head = eagle_head(checkpoint, target.frame, drafter.draft_length, context_tokens)
    else:
        head = eagle3_head(checkpoint, target.frame, drafter.draft_length, context_tokens)
    return Judge(partial(head.judged, target), batch_tokens)


def _target(pair: Pair, options: ReplayOptions, placement: Placement) -> TargetStates:
    """Who reads the outputs for a head, or read them before."""
    if options.states is not None:
        return open_stored_target(pair, options, placement)
    target = load_language_model(open_checkpoint(pair.model, download=True), placement)
    return LiveTarget(target, options.tokens_at_a_time(placement.device.type))
