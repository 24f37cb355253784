"""From checked folders to models in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging as transformers_logging

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError


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


def load_language_model(checkpoint: Checkpoint, placement: Placement) -> LoadedModel:
    """Load a causal language model.

    Raises:
        EngineError: transformers cannot load it, weights are missing from it, or it states no context length.
    """
    dtype = placement.dtype if placement.dtype == "auto" else getattr(torch, placement.dtype)
    try:
        with without_progress_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                attn_implementation=placement.attn_implementation,
                local_files_only=True,
                output_loading_info=True,
            )
            model, report = loaded
            model = model.to(placement.device).eval()
    except Exception as error:
        raise EngineError(
            f"The model {checkpoint.reference!r} does not load: {type(error).__name__}: {error}",
            "Check the folder and the engine arguments.",
        ) from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise EngineError(
            f"The weights of {checkpoint.reference!r} lack {len(missing)} tensors, {missing[0]} among them.",
            "Give a complete checkpoint.",
        )
    config = model.config.get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    if not isinstance(context, int):
        raise EngineError(
            f"The config of {checkpoint.reference!r} states no context length.", "Add max_position_embeddings to it."
        )
    eos = model.generation_config.eos_token_id
    eos = config.eos_token_id if eos is None else eos
    eos_ids = tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,)
    # Sampling is stated per request; a checkpoint's own defaults, penalties and the like, must not mix in.
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    return LoadedModel(model, eos_ids, config.vocab_size, context)


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
