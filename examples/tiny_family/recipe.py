"""Every number that shapes the family: sizes, batch shapes, steps and learning rates, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from examples.tiny_family.model import LlamaShape

VOCAB_SIZE = 4096
PRUNED_VOCAB_SIZE = 1024
DRAFT_LENGTH = 3
"""K: draft tokens per verify step, in training (EAGLE-3's unrolled steps) and in the evaluation."""

TARGET_SHAPE = LlamaShape(VOCAB_SIZE, 256, 512, layers=4, heads=4, kv_heads=2, head_dim=64)
DRAFT_SHAPE = LlamaShape(VOCAB_SIZE, 128, 384, layers=1, heads=2, kv_heads=2, head_dim=64)
EAGLE3_SHAPE = LlamaShape(VOCAB_SIZE, 256, 384, layers=1, heads=4, kv_heads=2, head_dim=64)
EAGLE3_AUX_LAYERS = (1, 2, 3)
"""Residual streams the head reads: entry k is the stream after k of the target's layers."""

PROMPT_LOSS_WEIGHT = 0.25
"""Loss weight of prompt tokens, where answer tokens weigh 1: prompts teach language too, answers are what is asked."""


@dataclass(frozen=True, slots=True)
class BatchShape:
    """Rows of packed conversations: conversations up to ``length_tokens`` go into ``rows`` rows a batch."""

    rows: int
    length_tokens: int


SHORT_BATCH = BatchShape(rows=16, length_tokens=512)
LONG_BATCH = BatchShape(rows=6, length_tokens=1344)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Optimizer steps of one training stage and its peak learning rates.

    The rate rises linearly over ``warmup_steps``, stays, and falls linearly to zero over the last ``decay_share`` of
    the steps.
    """

    steps: int
    muon_rate: float
    adam_rate: float
    warmup_steps: int = 50
    decay_share: float = 0.4

    def factor(self, step: int) -> float:
        """Share of the peak rate at ``step`` (0-based)."""
        decay_steps = max(1, round(self.steps * self.decay_share))
        return max(0.0, min(1.0, (step + 1) / self.warmup_steps, (self.steps - step) / decay_steps))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much text there is and how long each stage trains.

    In the first ``copy_steps`` steps of the target a share ``copy_share`` of the batches is repeated random tokens.
    ``generated_prompts`` training prompts are answered by the target with up to ``generated_tokens`` tokens each, half
    greedily and half sampled, and those answers join the drafters' training text ``answer_repeats`` times.
    """

    tokenizer_conversations: int
    conversations: int
    target: Schedule
    draft: Schedule
    eagle3: Schedule
    copy_steps: int
    copy_share: float
    generated_prompts: int
    generated_tokens: int
    answer_repeats: int


FULL = Recipe(
    tokenizer_conversations=20_000,
    conversations=200_000,
    target=Schedule(steps=2400, muon_rate=4e-3, adam_rate=3e-3),
    draft=Schedule(steps=700, muon_rate=4e-3, adam_rate=4e-3),
    eagle3=Schedule(steps=500, muon_rate=3e-3, adam_rate=2e-3),
    copy_steps=700,
    copy_share=0.25,
    generated_prompts=3072,
    generated_tokens=112,
    answer_repeats=2,
)
QUICK = Recipe(
    tokenizer_conversations=8_000,
    conversations=12_000,
    target=Schedule(steps=300, muon_rate=4e-3, adam_rate=3e-3, warmup_steps=20),
    draft=Schedule(steps=80, muon_rate=4e-3, adam_rate=4e-3, warmup_steps=10),
    eagle3=Schedule(steps=80, muon_rate=3e-3, adam_rate=2e-3, warmup_steps=10),
    copy_steps=100,
    copy_share=0.25,
    generated_prompts=512,
    generated_tokens=96,
    answer_repeats=1,
)
"""A weak family in about ten minutes, for trying the code."""
