"""``python -m examples.tiny_moe --out DIR --seed 0`` builds the mixture of experts; run again, it continues."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.corpus import training_conversations
from examples.tiny_family.data import batches, encode
from examples.tiny_family.recipe import SHORT_BATCH, Schedule
from examples.tiny_family.training import Training, compiled
from examples.tiny_moe.upcycling import EXPERTS, TOP_K, upcycle
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

if TYPE_CHECKING:
    from torch import Tensor

    from examples.tiny_family.training import LossFunction

CONVERSATIONS = 32_000
SCHEDULE = Schedule(steps=300, muon_rate=1e-3, adam_rate=1e-3, warmup_steps=20, decay_share=0.6)
BALANCE_WEIGHT = 0.05
"""Of the load-balancing loss. With the usual 0.01, so short a training leaves the first layer to few experts."""


def main() -> None:
    """Upcycle, train, export."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_moe", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps, help="training steps of 8,192 tokens")
    options = parser.parse_args()
    dense = BUNDLED_FOLDER / "target"
    torch.manual_seed(options.seed)
    model = upcycle(dense, options.seed).train()
    model.set_experts_implementation("grouped_mm")
    corpus = encode(chat_tokenizer.load(dense), training_conversations(options.seed, CONVERSATIONS))
    schedule = replace(SCHEDULE, steps=options.steps)
    training = options.out / "training"
    # One batch shape is one compilation; conversations of more than 512 tokens, one in a hundred, are left out.
    short = (batch for batch in batches(corpus, options.seed) if len(batch.ids) == SHORT_BATCH.rows)
    Training("moe", model, compiled(_loss_of(model)), short, schedule, training).run()
    export(model, dense, options.out / "target")


def _loss_of(model: Any) -> LossFunction:
    def loss(ids: Tensor, weights: Tensor) -> Tensor:
        out = model(ids[:, :-1], output_router_logits=True, use_cache=False)
        losses = functional.cross_entropy(out.logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        balance = torch.stack([balance_loss(logits) for logits in out.router_logits]).mean()
        return (losses * weights.flatten()).sum() / weights.sum() + BALANCE_WEIGHT * balance

    return loss


def balance_loss(router_logits: Tensor) -> Tensor:
    """Load-balancing loss of one layer, from logits [tokens, experts]: 1 when even (Switch, arXiv:2101.03961, eq. 4).

    E times the dot product of the experts' shares of assignments and their mean probabilities.
    """
    probabilities = router_logits.float().softmax(-1)
    chosen = probabilities.topk(TOP_K, dim=-1).indices
    shares = functional.one_hot(chosen, EXPERTS).float().sum(1).mean(0) / TOP_K
    return EXPERTS * (shares * probabilities.mean(0)).sum()


def export(model: Any, dense: Path, folder: Path) -> None:
    """A bf16 checkpoint with the family's tokenizer, as transformers and vLLM load it."""
    model.to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(dense / name, folder / name)


if __name__ == "__main__":
    main()
