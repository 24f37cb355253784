"""Which kinds of drafters vLLM runs as a method, and what it is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.drafter_kinds import DrafterKind, kind_of
from pytest_speedbench.engines.eagle_configs import NORM_BEFORE_RESIDUAL, lacks_norm_before_residual
from pytest_speedbench.errors import EngineError

ALSO = {
    DrafterMethod.DRAFT_MODEL: {DrafterKind.PARD},
    DrafterMethod.EAGLE3: {DrafterKind.P_EAGLE},
    DrafterMethod.DFLASH: {DrafterKind.DFLASH2},
}
"""Kinds that vLLM runs beside those that every engine does."""
PARALLEL = "parallel_drafting"
_NON_CAUSAL = "sliding_window_non_causal"
_TRAINED_IN_PARALLEL = (DrafterKind.PARD, DrafterKind.P_EAGLE)


def parallel_drafting(drafter: Checkpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM is told of a drafter that was trained to draft all its tokens at once; nothing for any other.

    Left to itself vLLM drafts token by token with it, and drops the tensors that it would need.

    Args:
        drafter: its folder.
        given: what the user adds to the speculative config.

    Raises:
        EngineError: the user turns it off for a P-EAGLE head, which would be another drafter then.
    """
    kind = kind_of(drafter)
    if kind not in _TRAINED_IN_PARALLEL:
        return {}
    if kind is DrafterKind.P_EAGLE and given.get(PARALLEL) is False:
        raise EngineError(
            f"The drafter {drafter.reference!r} is a P-EAGLE head, and speculative_config.{PARALLEL} is false.",
            "Leave it out: vLLM would draft with it as with an EAGLE-3 head, and leave its mask_hidden unused.",
        )
    return {PARALLEL: True}


def assumed_fields(drafter: Checkpoint) -> list[str]:
    """Fields that a drafter in speculators' layout leaves out, and that vLLM then reads otherwise than their class."""
    fields = [NORM_BEFORE_RESIDUAL] if lacks_norm_before_residual(drafter) else []
    slides = "sliding_attention" in (drafter.text_config.get("layer_types") or ())
    if drafter.speculators_type == "dflash" and slides and drafter.config.get(_NON_CAUSAL) is None:
        fields.append(_NON_CAUSAL)
    return fields


def check_resolved(drafter: Drafter | None, checkpoint: Checkpoint | None, speculation: Any) -> None:
    """vLLM drafts as the pair says. It looks at the checkpoint and at words in its path, and may decide otherwise.

    Args:
        drafter: the pair's.
        checkpoint: its folder; ``None`` for a method without one.
        speculation: vLLM's resolved speculative config; ``None`` for none. A field that it lacks is not compared.

    Raises:
        EngineError: it drafts with another method, or one token at a time where all at once was meant, or the reverse.
    """
    if drafter is None or speculation is None:
        return
    method = getattr(speculation, "method", None)
    if method is not None and method != drafter.method.value:
        raise EngineError(
            f"vLLM drafts with the method {method}, and the pair has the drafter {drafter}.",
            "Correct the pair's method. vLLM goes by the checkpoint and by words in its path, such as eagle3 or "
            "dflash: give a folder whose path has none of them.",
        )
    parallel = getattr(speculation, PARALLEL, None)
    if checkpoint is None or parallel is None or drafter.method is not DrafterMethod.EAGLE3:
        return
    kind = kind_of(checkpoint)
    if parallel != (kind is DrafterKind.P_EAGLE):
        how = "all its tokens at once" if parallel else "token by token"
        raise EngineError(
            f"vLLM drafts {how}, and the drafter {checkpoint.reference!r} is {kind.with_article}.",
            f"Start the server with {PARALLEL} for P-EAGLE heads, and for no others.",
        )
