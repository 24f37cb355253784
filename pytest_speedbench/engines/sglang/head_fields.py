"""What of a drafter SGLang leaves out without a word, and what it runs beside what every engine does.

Its loader of EAGLE-3 heads (0.5.23, ``llama_eagle3.py``) reads the flat layout of Llama layers, takes no notice of some
of its fields, and drops every tensor that it has no place for.
"""

from __future__ import annotations

from pytest_speedbench.config import DrafterMethod
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.drafter_kinds import DrafterKind
from pytest_speedbench.engines.eagle_configs import NORM_BEFORE_RESIDUAL
from pytest_speedbench.engines.head_fields import layer_window
from pytest_speedbench.errors import EngineError

ALSO = {DrafterMethod.DFLASH: {DrafterKind.DFLASH2}}
"""Kinds that SGLang runs beside those that every engine does."""
DRAFT_WINDOW = "speculative_draft_window_size"
"""SGLang's own argument for the window of a head's attention, which it does not read from the head."""


def check_head(head: Checkpoint, draft_window: object) -> None:
    """SGLang computes all that an EAGLE-3 head asks for.

    Args:
        head: its folder.
        draft_window: what the pair's :data:`DRAFT_WINDOW` is; ``None`` if it does not say.

    Raises:
        EngineError: it is in a layout that SGLang does not read, or would be computed as another head.
    """
    if head.speculators_type is not None:
        raise EngineError(
            f"The head {head.reference!r} is in the layout of speculators, which SGLang does not read.",
            "Give it in the flat layout (LlamaForCausalLMEagle3), or use the engine vllm.",
        )
    config = head.config
    left_out = [f"{name} is set" for name in (NORM_BEFORE_RESIDUAL, "attention_bias", "mlp_bias") if config.get(name)]
    try:
        window = layer_window(config)
        if window is not None and draft_window != window:
            left_out.append(
                f"its layer_types ask for a sliding_window of {window} (its own argument is {DRAFT_WINDOW})"
            )
    except ValueError as error:
        left_out.append(str(error))
    if config.get("tie_word_embeddings") and "lm_head.weight" in (head.plain_tensors or ()):
        left_out.append("tie_word_embeddings is set beside an lm_head.weight, which would not be used")
    if left_out:
        raise EngineError(
            f"SGLang would leave out what the head {head.reference!r} asks for: {', '.join(left_out)}.",
            "Use the engine vllm, or a head without it.",
        )
