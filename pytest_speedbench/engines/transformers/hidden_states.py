"""The residual streams of a target that an EAGLE-3 head reads, caught as its layers run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class HiddenStateTap:
    """Keeps the residual streams after some layers of the target's last forward pass.

    Id k is the stream after layer k, 0 the embeddings. The target's own ``hidden_states`` will not do: its last entry
    is taken after the final norm.

    Args:
        decoder: the target's decoder, which has ``layers``.
        layer_ids: ids in ascending order, the order in which the head's first projection expects them.
    """

    def __init__(self, decoder: Any, layer_ids: Sequence[int]) -> None:
        self._streams: dict[int, Tensor] = {}
        self._layer_ids = tuple(layer_ids)
        self._hooks = [
            decoder.layers[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
            if layer_id == 0
            else decoder.layers[layer_id - 1].register_forward_hook(self._keeper(layer_id))
            for layer_id in self._layer_ids
        ]

    def last(self) -> Tensor:
        """The streams of the last pass's one sequence side by side, [tokens, A·H]."""
        return self.batch()[0]

    def batch(self) -> Tensor:
        """The streams of all sequences of the last pass, [sequences, tokens, A·H]."""
        return torch.cat([self._streams[layer_id] for layer_id in self._layer_ids], dim=-1)

    def close(self) -> None:
        """Let go of the target."""
        for hook in self._hooks:
            hook.remove()
        self._streams.clear()

    def _keep_input(self, _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._streams[0] = args[0] if args else kwargs["hidden_states"]

    def _keeper(self, layer_id: int) -> Any:
        def keep(_module: object, _args: object, output: Any) -> None:
            self._streams[layer_id] = output[0] if isinstance(output, tuple) else output

        return keep
