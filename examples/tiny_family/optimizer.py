"""Muon for the matrices between embeddings, AdamW for everything else, under one schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from examples.tiny_family.recipe import Schedule


class ScheduledOptimizer:
    """Both optimizers behind one :meth:`step`, with gradients clipped to norm 1.

    Muon makes better use of each token than AdamW on matrices that act on hidden states; embeddings, output heads and
    norms are left to AdamW.
    """

    def __init__(self, module: nn.Module, schedule: Schedule) -> None:
        self.schedule = schedule
        self.steps_done = 0
        named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
        self._parameters: list[Tensor] = [parameter for _, parameter in named]
        hidden = [
            p for name, p in named if p.ndim == 2 and not name.endswith(("embed_tokens.weight", "lm_head.weight"))
        ]
        hidden_ids = {id(parameter) for parameter in hidden}
        others = [p for _, p in named if id(p) not in hidden_ids]
        self._muon = torch.optim.Muon(hidden, lr=schedule.muon_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
        self._adam = torch.optim.AdamW(others, lr=schedule.adam_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def step(self) -> None:
        """Apply the gradients at the scheduled rate and clear them."""
        factor = self.schedule.factor(self.steps_done)
        for optimizer, rate in ((self._muon, self.schedule.muon_rate), (self._adam, self.schedule.adam_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()
        self._muon.zero_grad(set_to_none=True)
        self._adam.zero_grad(set_to_none=True)
        self.steps_done += 1

    def state_dict(self) -> dict[str, Any]:
        """State to continue from."""
        return {"steps_done": self.steps_done, "muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`'s result."""
        self.steps_done = int(state["steps_done"])
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])
