"""Which experts a mixture-of-experts model routes each token to, read while transformers runs over a sequence."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_speedbench.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHOICES = ("top_k_index", "router_indices", "selected_experts")
"""What the experts' argument is called that says which of them were chosen."""
_COUNTS = ("num_experts", "total_experts", "num_local_experts")


def routed_experts(model: Any, prompt_ids: Sequence[int], output_ids: Sequence[int]) -> NDArray[np.uint16]:
    """Expert ids of prompt and output, teacher-forced in one forward pass.

    The choice is read from what the experts of every layer are given, not from the routers, whose names and answers
    differ from family to family, nor recomputed from their logits, to which some add something before choosing.

    Args:
        model: a transformers causal language model in evaluation mode.
        prompt_ids: the prompt.
        output_ids: what was generated after it, at least one token.

    Returns:
        Shape (prompt + output - 1, mixture layers, top_k), a token's experts in the router's own order. The last token
        is missing because it was generated but never read; engines leave it out too.

    Raises:
        EngineError: the model has no experts, or layers whose experts are not told which of them were chosen.
    """
    ids = torch.tensor([[*prompt_ids, *output_ids[:-1]]], device=model.device)
    layers = _mixture_layers(model)
    with _recorded(layers) as recorded, torch.inference_mode():
        model(ids, use_cache=False)
    chosen = [choice for layer in layers for choice in recorded[layer]]
    shapes = {choice.shape for choice in chosen}
    if any(len(recorded[layer]) != 1 for layer in layers) or len(shapes) != 1 or len(chosen[0]) != ids.shape[1]:
        raise _not_known(model, "a forward pass does not give every token to the experts of every layer once")
    return np.stack(chosen, axis=1)


def expert_count(model: Any) -> int:
    """E, the experts in every mixture layer.

    Raises:
        EngineError: the model has no experts, or layers of different sizes, or ones that do not say how many they are.
    """
    stated = [_count(layer) for layer in _mixture_layers(model)]
    counts = {count for count in stated if count is not None}
    if None in stated:
        raise _not_known(model, "its experts do not say how many they are")
    if len(counts) != 1:
        raise EngineError(
            f"The mixture layers of {type(model).__name__} have {', '.join(map(str, sorted(counts)))} experts.",
            "Measure the routing of a model whose mixture layers are all of one size.",
        )
    return counts.pop()


def _count(layer: Any) -> int | None:
    name = next((name for name in _COUNTS if hasattr(layer, name)), None)
    return None if name is None else int(getattr(layer, name))


def _mixture_layers(model: Any) -> list[Any]:
    """The experts of every mixture layer, in the order of the layers; all of them are told which were chosen."""
    found = [
        module
        for path, module in model.named_modules()
        if path.rpartition(".")[2] == "experts" or _named_experts(module)
    ]
    if not found:
        router = next((type(module).__name__ for module in model.modules() if _named_router(module)), None)
        if router is not None:
            raise _not_known(
                model, f"{router} does not return which experts it chose, nor is a module named after them"
            )
        raise EngineError(
            f"{type(model).__name__} has no routers, so no token is routed anywhere.",
            "Measure the routing of a mixture-of-experts model.",
        )
    for module in found:
        if _choice_argument(module) is None:
            raise _not_known(model, f"{type(module).__name__} is not told which experts were chosen")
    return found


def _named_experts(module: Any) -> bool:
    name = type(module).__name__
    return name.endswith("Experts") and "Shared" not in name


def _named_router(module: Any) -> bool:
    return type(module).__name__.lower().endswith(("router", "moe", "moeblock"))


def _choice_argument(module: Any) -> tuple[int, str] | None:
    """Place and name of the argument that says which experts were chosen."""
    names = list(inspect.signature(module.forward).parameters)
    return next(((names.index(name), name) for name in _CHOICES if name in names), None)


def _not_known(model: Any, reason: str) -> EngineError:
    return EngineError(
        f"The routing of {type(model).__name__} is not known: {reason}.",
        "Read the routing from an engine that reports it, or use a model of another architecture.",
    )


@contextmanager
def _recorded(layers: Sequence[Any]) -> Iterator[dict[Any, list[NDArray[np.uint16]]]]:
    """Collect what the experts of every layer are given, for as long as this lasts."""
    recorded: dict[Any, list[NDArray[np.uint16]]] = {layer: [] for layer in layers}

    def record(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        place, name = _choice_argument(layer) or (0, "")
        choice = kwargs[name] if name in kwargs else args[place]
        recorded[layer].append(choice.reshape(-1, choice.shape[-1]).cpu().numpy().astype(np.uint16))

    handles = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in layers]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
