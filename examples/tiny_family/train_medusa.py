"""``python -m examples.tiny_family.train_medusa --out DIR`` trains a Medusa drafter for the bundled target.

Medusa (arXiv:2401.10774) in its first form: the target stays as it is, and for each draft position one residual block
over its final states feeds its own output head. The checkpoint holds the blocks only; who loads it adds the target's
head. It is made for the tests with vLLM and is no part of the package.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.answers import answer_prompts
from examples.tiny_family.corpus import training_conversations
from examples.tiny_family.data import EncodedCorpus, batches, encode
from examples.tiny_family.export import load_llama
from examples.tiny_family.model import Llama
from examples.tiny_family.recipe import DRAFT_LENGTH, FULL, SHORT_BATCH, TARGET_SHAPE, VOCAB_SIZE, Schedule
from examples.tiny_family.train_drafters import LATER_STEP_DISCOUNT, soft_cross_entropy
from examples.tiny_family.training import Training, compiled
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

CONVERSATIONS = 4_000
SCHEDULE = Schedule(steps=400, muon_rate=2e-2, adam_rate=2e-3, warmup_steps=20, decay_share=0.7)
"""The matrices' rate is five times the other drafters': blocks that start at zero have far to go."""


class ResidualBlock(nn.Module):
    """x + SiLU(W x + b), zero at first: an untrained head repeats what the target itself says."""

    def __init__(self, size: int) -> None:
        super().__init__()
        linear = nn.Linear(size, size)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.layers = nn.ModuleList([linear])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + functional.silu(layer(x))
        return x


class MedusaBlocks(nn.Module):
    """One block for each draft position, with the parameter names of a Medusa checkpoint."""

    def __init__(self, size: int, draft_length: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(size) for _ in range(draft_length))

    def forward(self, states: Tensor) -> list[Tensor]:
        """From the target's normed states [..., hidden]: a state for every draft position, for the target's head."""
        return [block(states) for block in self.blocks]


def main() -> None:
    """Make the text, train, export."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_family.train_medusa", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished blocks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = BUNDLED_FOLDER / "target"
    target = load_llama(TARGET_SHAPE, folder)
    corpus = encode(chat_tokenizer.load(folder), training_conversations(options.seed, CONVERSATIONS))
    answers = answer_prompts(target, corpus, FULL, options.seed)
    text = EncodedCorpus.join([*[answers] * FULL.answer_repeats, corpus])
    export(train_medusa(target, text, options.seed, options.out / "medusa-training"), options.out / "medusa")


def train_medusa(target: Llama, text: EncodedCorpus, seed: int, folder: Path) -> MedusaBlocks:
    """Teach head k, counted from 0, the target's distribution k + 1 tokens beyond the one it predicts itself."""
    torch.manual_seed(seed + 3)
    heads = MedusaBlocks(TARGET_SHAPE.hidden_size, DRAFT_LENGTH)
    target.requires_grad_(False)

    def loss(ids: Tensor, weights: Tensor) -> Tensor:
        with torch.no_grad():
            states = target(ids[:, :-1])
            teacher = target.logits(states)
        slots = weights.shape[1] - DRAFT_LENGTH
        # The vocabulary-wide losses cost most of the time, and drafts are needed in answers: take a quarter, in these.
        chosen = weights[:, 1 : 1 + slots].flatten().topk(ids.shape[0] * slots // 4).indices
        total = torch.zeros(())
        for head, drafted in enumerate(heads(states[:, :slots].flatten(0, 1)[chosen])):
            shifted = slice(head + 1, head + 1 + slots)
            kept_teacher, kept_weights = (x[:, shifted].flatten(0, 1)[chosen] for x in (teacher, weights))
            head_loss = soft_cross_entropy(target.logits(drafted), kept_teacher, kept_weights)
            total = total + head_loss * LATER_STEP_DISCOUNT**head
        return total

    # One batch shape is one compilation; conversations of more than 512 tokens, one in a hundred, are left out.
    short = (batch for batch in batches(text, seed + 3) if len(batch.ids) == SHORT_BATCH.rows)
    Training("medusa", heads, compiled(loss), short, SCHEDULE, folder).run()
    return heads


def export(heads: MedusaBlocks, folder: Path) -> None:
    """The blocks in bf16, with the config that serving engines read; ``lm_head.weight`` is left to the loader."""
    config = {
        "architectures": ["MedusaModel"],
        "model_type": "medusa",
        "dtype": "bfloat16",
        "hidden_size": TARGET_SHAPE.hidden_size,
        "vocab_size": VOCAB_SIZE,
        "num_heads": DRAFT_LENGTH,
        "num_hidden_layers": 1,
        "medusa_fc_bias": True,
        "original_lm_head": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in heads.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
