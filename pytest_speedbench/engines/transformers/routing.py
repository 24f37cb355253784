"""Which experts a mixture-of-experts model routes each token to, read while transformers runs over a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_speedbench.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def routed_experts(model: Any, prompt_ids: Sequence[int], output_ids: Sequence[int]) -> NDArray[np.uint16]:
    """Expert ids of prompt and output, teacher-forced in one forward pass.

    The choice is read from the routers themselves, not recomputed from their logits, so that whatever they add to the
    logits before choosing counts.

    Args:
        model: a transformers causal language model in evaluation mode.
        prompt_ids: the prompt.
        output_ids: what was generated after it, at least one token.

    Returns:
        Shape (prompt + output - 1, mixture layers, top_k), a token's experts in the router's own order. The last token
        is missing because it was generated but never read; engines leave it out too.

    Raises:
        EngineError: the model has no routers, or routers that do not return their choice.
    """
    ids = torch.tensor([[*prompt_ids, *output_ids[:-1]]], device=model.device)
    with _recorded(model) as recorded, torch.inference_mode():
        model(ids, use_cache=False)
    return np.stack(recorded, axis=1)


def expert_count(model: Any) -> int:
    """E, the experts in every mixture layer.

    Raises:
        EngineError: the model has no routers, or layers of different sizes.
    """
    counts = {int(router.num_experts) for router in _routers(model)}
    if len(counts) != 1:
        raise EngineError(
            f"The mixture layers of {type(model).__name__} have {', '.join(map(str, sorted(counts)))} experts.",
            "Measure the routing of a model whose mixture layers are all of one size.",
        )
    return counts.pop()


def _routers(model: Any) -> list[Any]:
    routers = [module for module in model.modules() if type(module).__name__.lower().endswith("topkrouter")]
    if not routers:
        raise EngineError(
            f"{type(model).__name__} has no routers, so no token is routed anywhere.",
            "Measure the routing of a mixture-of-experts model.",
        )
    return routers


@contextmanager
def _recorded(model: Any) -> Iterator[list[NDArray[np.uint16]]]:
    """Collect every router's choice, in the order of the layers, for as long as this lasts."""
    recorded: list[NDArray[np.uint16]] = []

    def record(router: Any, _: Any, out: Any) -> None:
        # transformers' routers return logits, weights and the experts; one that leaves the choice to others, less.
        if not (isinstance(out, tuple) and len(out) == 3 and not out[2].is_floating_point()):
            raise EngineError(
                f"{type(router).__name__} does not return which experts it chose.",
                "Read the routing from an engine that reports it, or use a model of another architecture.",
            )
        recorded.append(out[2].cpu().numpy().astype(np.uint16))

    handles = [router.register_forward_hook(record) for router in _routers(model)]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
