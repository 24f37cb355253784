"""The loop all three trainings share: steps, checkpoints, a log line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from examples.tiny_family.optimizer import ScheduledOptimizer

if TYPE_CHECKING:
    from pathlib import Path

    from examples.tiny_family.data import Batch
    from examples.tiny_family.recipe import Schedule

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of ``(ids [rows, length + 1], weights [rows, length])``."""

CHECKPOINT_EVERY_STEPS = 200
LOG_EVERY_STEPS = 25


@dataclass(frozen=True, slots=True)
class Training:
    """One module, what it learns from and for how long; checkpoints go to ``folder``."""

    name: str
    module: nn.Module
    loss_function: LossFunction
    batches: Iterator[Batch]
    schedule: Schedule
    folder: Path

    def run(self) -> None:
        """Train for the schedule's steps, resuming from ``folder/checkpoint.pt`` where one lies.

        A resumed run skips the batches that were already used, so it sees the same data as an uninterrupted one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        optimizer = ScheduledOptimizer(self.module, self.schedule)
        self._resume(optimizer)
        recent: list[Tensor] = []
        tokens, began_s = 0, time.monotonic()
        while optimizer.steps_done < self.schedule.steps:
            batch = next(self.batches)
            loss = self.loss_function(batch.ids, batch.weights)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            recent.append(loss.detach())
            tokens += batch.weights.numel()
            done, last = optimizer.steps_done, optimizer.steps_done == self.schedule.steps
            if done % LOG_EVERY_STEPS == 0 or last:
                self._log(done, torch.stack(recent).mean().item(), tokens / (time.monotonic() - began_s))
                recent.clear()
                tokens, began_s = 0, time.monotonic()
            if done % CHECKPOINT_EVERY_STEPS == 0 or last:
                self._save(optimizer)

    def _log(self, done: int, loss: float, tokens_per_s: float) -> None:
        progress = f"step {done}/{self.schedule.steps} loss {loss:.4f} {tokens_per_s:.0f} tokens/s"
        print(f"{time.strftime('%H:%M:%S')} {self.name} {progress}", flush=True)

    def _save(self, optimizer: ScheduledOptimizer) -> None:
        temporary = self.folder / "checkpoint.tmp"
        torch.save({"module": self.module.state_dict(), "optimizer": optimizer.state_dict()}, temporary)
        temporary.replace(self.folder / "checkpoint.pt")

    def _resume(self, optimizer: ScheduledOptimizer) -> None:
        checkpoint = self.folder / "checkpoint.pt"
        if not checkpoint.exists():
            return
        state = torch.load(checkpoint, weights_only=True)
        self.module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        for _ in range(optimizer.steps_done):
            next(self.batches)


def compiled(loss_function: LossFunction) -> LossFunction:
    """``loss_function`` under bf16 autocast and compiled once per batch shape.

    What was compiled before is dropped: stages run one after another, and the compiler keeps only a few variants.
    """
    torch.compiler.reset()

    def under_autocast(ids: Tensor, weights: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loss_function(ids, weights)

    result: LossFunction = torch.compile(under_autocast, dynamic=False)
    return result
