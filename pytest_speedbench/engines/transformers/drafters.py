"""The drafters that transformers' decoding loop verifies: loaded once per engine, entered once per request.

All draft greedily. At a temperature above zero the loop compares a greedy draft with the token that the target sampled,
which keeps the target's distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoModel
from transformers.generation.candidate_generator import CandidateGenerator, PromptLookupCandidateGenerator

from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.transformers.draft_model import DraftModelCandidates
from pytest_speedbench.engines.transformers.eagle3 import Eagle3Candidates
from pytest_speedbench.engines.transformers.eagle3_loading import load_eagle3_head
from pytest_speedbench.engines.transformers.hidden_states import HiddenStateTap
from pytest_speedbench.engines.transformers.loading import (
    LoadedModel,
    Placement,
    TargetFrame,
    check_tensors,
    layered_decoder_of,
    load_language_model,
    without_progress_bars,
)
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.engines.transformers.own_generators import (
    DFlashCandidates,
    MtpCandidates,
    load_mtp_layers,
)
from pytest_speedbench.engines.vocabularies import drafts_below
from pytest_speedbench.errors import EngineError


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class LoadedDrafter:
    """A drafter in memory.

    Attributes:
        candidates: makes the candidate generator of one request, from the request's generation config.
        args: what shapes the drafts beside the model and K, as resolved, for the record.
        context_tokens: longest sequence it can follow; ``None`` for no limit of its own.
        close: lets go of the target.
    """

    candidates: Callable[[Any], CandidateGenerator]
    args: Mapping[str, EngineArg]
    context_tokens: int | None = None
    close: Callable[[], None] = _nothing


def load_drafter(
    drafter: Drafter,
    checkpoint: Checkpoint | None,
    target_checkpoint: Checkpoint,
    target: LoadedModel,
    placement: Placement,
    options: TransformersOptions,
) -> LoadedDrafter:
    """Load a drafter for a loaded target. ``checkpoint`` is the drafter's, for the methods that need a model.

    Raises:
        EngineError: it does not load or does not fit the target.
    """
    if drafter.method is DrafterMethod.NGRAM:
        return _ngram(drafter.draft_length, options.prompt_lookup_max)
    if drafter.method is DrafterMethod.MTP:
        return _mtp(target.model)
    if checkpoint is None:
        raise EngineError(f"The drafter {drafter} has no model.", "Name one.")
    if drafter.method is DrafterMethod.EAGLE3:
        return _eagle3(checkpoint, target, drafter.draft_length)
    if drafter.method is DrafterMethod.DFLASH:
        return _dflash(checkpoint, target.model, placement)
    assistant = load_language_model(checkpoint, placement, drafts=True)
    below = drafts_below(target_checkpoint, checkpoint)
    if below is None and assistant.vocab_size != target.vocab_size:
        raise EngineError(
            f"The draft model {checkpoint.reference!r} has a vocabulary of {assistant.vocab_size} tokens, the target "
            f"one of {target.vocab_size}.",
            "Give a draft model with the target's tokenizer.",
        )
    return LoadedDrafter(
        lambda _: DraftModelCandidates(assistant.model, drafter.draft_length, below),
        {} if below is None else {"drafts_below": below},
        context_tokens=assistant.context_tokens,
    )


def _ngram(draft_length: int, lookup_max: int) -> LoadedDrafter:
    def candidates(generation_config: Any) -> CandidateGenerator:
        # No end-of-sequence id: a draft that runs past one is verified whole and cut afterwards, as everywhere else.
        return PromptLookupCandidateGenerator(
            num_output_tokens=draft_length,
            max_matching_ngram_size=lookup_max,
            max_length=generation_config.max_length + draft_length + 1,
        )

    return LoadedDrafter(candidates, {"prompt_lookup_max": lookup_max, "prompt_lookup_min": 1})


def _eagle3(checkpoint: Checkpoint, target: LoadedModel, draft_length: int) -> LoadedDrafter:
    loaded = load_eagle3_head(checkpoint, TargetFrame.of(target.model), target.context_tokens + draft_length)
    tap = HiddenStateTap(layered_decoder_of(target.model), loaded.layer_ids)
    return LoadedDrafter(
        lambda config: Eagle3Candidates(loaded.head, tap, draft_length, config.max_length),
        {
            "eagle_aux_hidden_state_layer_ids": ",".join(map(str, loaded.layer_ids)),
            "draft_vocab_size": loaded.draft_vocab_size,
        },
        close=tap.close,
    )


def _mtp(target: Any) -> LoadedDrafter:
    layers = load_mtp_layers(target)
    return LoadedDrafter(lambda _: MtpCandidates(layers), {"num_mtp_layers": layers.num_mtp_layers})


def _dflash(checkpoint: Checkpoint, target: Any, placement: Placement) -> LoadedDrafter:
    try:
        with without_progress_bars():
            loaded: Any = AutoModel.from_pretrained(
                checkpoint.folder, dtype=target.dtype, local_files_only=True, output_loading_info=True
            )
            assistant, report = loaded
            assistant = assistant.to(placement.device).eval()
    except Exception as error:
        raise EngineError(
            f"The DFlash drafter {checkpoint.reference!r} does not load: {type(error).__name__}: {error}",
            "Check the folder.",
        ) from error
    check_tensors(checkpoint, assistant, report)

    def candidates(generation_config: Any) -> CandidateGenerator:
        return DFlashCandidates(
            assistant_model=assistant,
            main_model_input_embeddings=target.get_input_embeddings(),
            main_model_output_embeddings=target.get_output_embeddings(),
            generation_config=generation_config,
        )

    return LoadedDrafter(candidates, {"block_size": assistant.config.block_size})
