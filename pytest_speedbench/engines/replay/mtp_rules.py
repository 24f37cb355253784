"""Whose way of drafting with a target's multi-token-prediction layers is replayed. Imports no torch.

transformers drafts one token with every layer. vLLM 0.32 drafts all tokens with the first layer, one after the other,
feeds it its own hidden state from before its last norm, and gives it no embedding at the first position of a text.
"""

from __future__ import annotations

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.transformers.checks import check_mtp
from pytest_speedbench.errors import EngineError

_VLLM_ENGINES = ("vllm", "vllm-serve")
_VLLM_TARGET = "glm4_moe"
"""The one kind of target for which this was compared with vLLM. Others differ: DeepSeek's is fed its normed state."""

_MASKED_ATTENTION = ("sdpa", "eager")


def drafts_in_a_chain(engine: str) -> bool:
    """Whether an engine drafts all tokens with the first layer, and not one with each."""
    return engine in _VLLM_ENGINES


def check_mtp_drafts(target: Checkpoint, options: ReplayOptions, draft_length: int) -> None:
    """What the engine that is to serve drafts with these layers can be replayed.

    Raises:
        EngineError: it has rules of its own, or would draft another number of tokens; or an attention is asked for
            that cannot be told which keys it sees.
    """
    engine, attention = options.engine, options.models.attn_implementation
    if engine == "transformers":
        check_mtp(target, draft_length)
        return
    if not drafts_in_a_chain(engine):
        raise EngineError(
            f"The engine {engine} drafts with multi-token-prediction layers by rules of its own, which are not "
            "replayed.",
            f"Decode with it; replayed are the rules of transformers and {_VLLM_ENGINES[0]}.",
        )
    kind = str(target.text_config.get("model_type"))
    layers = target.size("num_mtp_layers") or target.size("num_nextn_predict_layers")
    if kind != _VLLM_TARGET or layers != 1:
        raise EngineError(
            f"What vLLM drafts with the target {target.reference!r} is not replayed: it is a {kind} with "
            f"{layers or 'no'} multi-token-prediction layers.",
            f"Decode with it; replayed are targets of the kind {_VLLM_TARGET} with one such layer.",
        )
    if attention not in (None, *_MASKED_ATTENTION):
        raise EngineError(
            f"What vLLM drafts is not replayed with the attention {attention}.",
            f"Leave attn_implementation out, or set it to {' or '.join(_MASKED_ATTENTION)}.",
        )
