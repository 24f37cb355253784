"""From checked folders to models in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging as transformers_logging

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.transformers.families import check_computed, keeps_state
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError

_LONGEST_MESSAGE = 300
_BUFFERS = ("inv_freq", ".masked_bias", ".attn.bias", ".attention.bias")
"""Tensors of old checkpoints that are computed from the config now: rotary frequencies and causal masks."""
_OTHER_SENSES = ("vision", "visual", "image", "multi_modal", "mm_", "audio", "speech", "embed_vision", "embed_audio")
"""How the parts of a checkpoint are called, in its weights and in its config, that read anything but text."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where models live, in which arithmetic, and with which attention; ``dtype`` is a name of options.DTYPES."""

    device: torch.device
    dtype: str
    attn_implementation: str | None

    @classmethod
    def choose(cls, options: TransformersOptions) -> Placement:
        """Resolve the defaults.

        Raises:
            EngineError: there is no such device here.
        """
        name = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.empty(0, device=name).device
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise EngineError(
                f"There is no device {name!r} here: {reason}", "Set the engine argument device to cpu."
            ) from error
        return cls(
            device, options.dtype or ("float32" if device.type == "cpu" else "auto"), options.attn_implementation
        )


@dataclass(frozen=True, slots=True)
class TargetFrame:
    """What a head shares with its target, without the target's layers.

    Attributes:
        embedding: of the tokens, [V, H]; on the device and of the dtype in which a head computes.
        lm_head: the projection to the vocabulary, [V, H].
        hidden_size: H.
        layers: how many layers the decoder has.
    """

    embedding: Tensor
    lm_head: Tensor
    hidden_size: int
    layers: int

    @classmethod
    def of(cls, model: Any) -> TargetFrame:
        """What a transformers model's heads share with it."""
        config = model.config.get_text_config()
        return cls(
            embedding=model.get_input_embeddings().weight.detach(),
            lm_head=model.get_output_embeddings().weight.detach(),
            hidden_size=config.hidden_size,
            layers=config.num_hidden_layers,
        )


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A language model ready to run.

    Attributes:
        model: the transformers model, without any generation defaults of its own.
        eos_token_ids: ids that end a sequence, from its generation config or else its config.
        vocab_size: tokens it can predict.
        context_tokens: longest sequence.
    """

    model: Any
    eos_token_ids: tuple[int, ...]
    vocab_size: int
    context_tokens: int


def load_language_model(checkpoint: Checkpoint, placement: Placement, *, drafts: bool = False) -> LoadedModel:
    """Load a causal language model.

    Args:
        checkpoint: where it is.
        placement: where it goes.
        drafts: whether it will read drafts that may be rejected, as the target of a drafter and a draft model do.

    Raises:
        EngineError: transformers does not compute it, cannot load it, or loads other tensors than the checkpoint has;
            or it states no context length.
    """
    check_computed(checkpoint, "model", drafts=drafts)
    context = _check_class(checkpoint, drafts=drafts)
    dtype = placement.dtype if placement.dtype == "auto" else getattr(torch, placement.dtype)
    try:
        with without_progress_bars(), _without_warnings():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                attn_implementation=placement.attn_implementation,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            model, report = loaded
            model = model.to(placement.device).eval()
    except Exception as error:
        raise EngineError(
            f"The model {checkpoint.reference!r} does not load: {type(error).__name__}: {first_words(error)}",
            "Check the folder and the engine arguments.",
        ) from error
    check_tensors(checkpoint, model, report)
    config = model.config.get_text_config()
    eos = model.generation_config.eos_token_id
    eos = config.eos_token_id if eos is None else eos
    eos_ids = tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,)
    # Sampling is stated per request; a checkpoint's own defaults, penalties and the like, must not mix in.
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    return LoadedModel(model, eos_ids, config.vocab_size, context)


def check_tensors(checkpoint: Checkpoint, model: Any, report: Mapping[str, Collection[Any]]) -> None:
    """Refuse a model of which transformers filled in what the checkpoint lacks, or left out what it has.

    What a class names as not its own, transformers leaves out of the report: layers for multi-token prediction, old
    rotary buffers.

    Args:
        checkpoint: what was loaded.
        model: the transformers model.
        report: what ``from_pretrained`` returns with ``output_loading_info``.

    Raises:
        EngineError: with one of the tensors.
    """
    missing = sorted(report["missing_keys"])
    if missing:
        raise EngineError(
            f"The weights of {checkpoint.reference!r} lack {len(missing)} tensors, {missing[0]} among them.",
            "Give a complete checkpoint.",
        )
    unread = sorted(name for name in report["unexpected_keys"] if not _belongs_elsewhere(name, checkpoint))
    if unread:
        raise EngineError(
            f"The weights of {checkpoint.reference!r} have {len(unread)} tensors that {type(model).__name__} of "
            f"transformers does not read, {unread[0]} among them, so it would compute another model.",
            "Check that its config.json belongs to its weights, or measure it with an engine that reads them.",
        )


def first_words(error: Exception) -> str:
    """The first sentence or line of a message that may list everything transformers knows."""
    text = next(iter(str(error).strip().splitlines()), "")
    sentence = text.split(". ", 1)[0]
    return sentence if len(sentence) <= _LONGEST_MESSAGE else sentence[:_LONGEST_MESSAGE].rsplit(" ", 1)[0] + " …"


def _check_class(checkpoint: Checkpoint, *, drafts: bool) -> int:
    """The context length; nothing is loaded yet, and the class tells what transformers does with it."""
    who = f"The model {checkpoint.reference!r}"
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise EngineError(
            f"transformers cannot read the config.json of {checkpoint.reference!r}: {first_words(error)}",
            "Measure it with an engine that knows this model, or install a transformers that does.",
        ) from error
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise EngineError(
            f"{who} is a {config.model_type} model, of which transformers loads no language model by itself.",
            "Measure it with vllm, sglang or a server that runs it, or give a checkpoint of its language model alone.",
        )
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    # Both are private, and the only places where transformers says it.
    croppable = not model_class._is_stateful and model_class._supports_default_dynamic_cache()  # noqa: SLF001
    if drafts and not croppable:
        raise keeps_state(who, f"a {config.model_type} model")
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(context, int):
        raise EngineError(
            f"The config of {checkpoint.reference!r} states no context length.", "Add max_position_embeddings to it."
        )
    return context


def _belongs_elsewhere(name: str, checkpoint: Checkpoint) -> bool:
    """Whether a tensor that was not read is one that a text model does without."""
    if name.endswith(_BUFFERS):
        return True
    parts = name.split(".")
    multimodal = any(key.startswith(_OTHER_SENSES) for key in checkpoint.config)
    if multimodal and any(part.startswith(_OTHER_SENSES) for part in parts):
        return True
    return any(part.startswith("mtp") for part in parts) or _is_nextn_layer(parts, checkpoint)


def _is_nextn_layer(parts: Sequence[str], checkpoint: Checkpoint) -> bool:
    """Whether it is a layer beyond the model's own, which its config counts as one for multi-token prediction."""
    layers, more = checkpoint.size("num_hidden_layers"), checkpoint.size("num_nextn_predict_layers")
    numbers = [
        int(parts[place + 1])
        for place, part in enumerate(parts[:-1])
        if part == "layers" and parts[place + 1].isdigit()
    ]
    return bool(numbers and layers and more and layers <= numbers[0] < layers + more)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep transformers' table of tensors off the terminal: what is wrong in it is refused here."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def decoder_of(model: Any) -> Any:
    """The layers of a language model without its projection to the vocabulary."""
    found = model.get_decoder()
    # Llama 4 gives the whole language model.
    return found if found.get_output_embeddings() is None else found.model


def layered_decoder_of(model: Any) -> Any:
    """The same, for a drafter that reads the streams between the layers.

    Raises:
        EngineError: the model keeps its layers under a name of its own.
    """
    found = decoder_of(model)
    if not hasattr(found, "layers"):
        raise EngineError(
            f"{type(found).__name__} does not keep its layers where a head's hidden states are read.",
            "Measure the pair with the engine that the head was made for.",
        )
    return found


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers' loading bars off the terminal, which belongs to pytest."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
