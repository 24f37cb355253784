"""transformers' own generators for multi-token prediction and DFlash, drafting greedily at any temperature.

Without the drafts' logits the loop compares a draft with the token that the target sampled, as for every other drafter.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import MtpCache
from transformers.generation.candidate_generator import DFlashTokenCandidateGenerator, MTPCandidateGenerator
from transformers.modeling_layers import MtpModel

from pytest_speedbench.engines.transformers.loading import without_progress_bars
from pytest_speedbench.errors import EngineError


def load_mtp_layers(target: Any) -> Any:
    """The ``MtpModel`` that belongs to a loaded target, whose embedding and output head it shares.

    Raises:
        EngineError: the target's checkpoint does not have them.
    """
    try:
        with without_progress_bars():
            return MtpModel.from_pretrained(target, device_map={"": target.device})
    except Exception as error:
        raise EngineError(
            f"The multi-token-prediction layers of the target do not load: {type(error).__name__}: {error}",
            "Give a target checkpoint that has them.",
        ) from error


class MtpCandidates(MTPCandidateGenerator):
    """Multi-token prediction with layers that are already in memory: the base class reads them from disk per request.

    Args:
        layers: a loaded ``MtpModel``.
    """

    def __init__(self, layers: Any) -> None:
        self.mtp_model = layers
        self.num_mtp_layers = layers.num_mtp_layers
        self.device = layers.device
        self.model_kwargs_overrides = {"output_hidden_states": -1}
        self.mtp_cache = MtpCache(config=layers.config)
        self.mtp_cache.activate_past_recording()  # type: ignore[no-untyped-call]
        self.do_sample = False
        self.logits_processor = None
        self.is_main_model_prefill = True

    def get_candidates(self, input_ids: Any, **loop: Any) -> tuple[Tensor, None]:  # type: ignore[override]
        """One token per layer after ``input_ids`` [1, length]."""
        return super().get_candidates(input_ids, **loop)[0], None


class DFlashCandidates(DFlashTokenCandidateGenerator):
    """A DFlash drafter, which also drafts whole blocks at the end of the output."""

    def __init__(self, **loop: Any) -> None:
        super().__init__(**loop)
        self.do_sample = False
        self.main_model_max_length += self.block_size + 1

    def get_candidates(self, input_ids: Any, **loop: Any) -> tuple[Tensor, None]:  # type: ignore[override]
        """A block less its first token after ``input_ids`` [1, length]."""
        return super().get_candidates(input_ids, **loop)[0], None
