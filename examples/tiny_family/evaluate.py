"""Stage ``evaluate``: acceptance lengths by category and drafter on prompts that the training text never contains."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import Tensor

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.acceptance import (
    Answer,
    Matches,
    draft_model_matches,
    eagle3_matches,
    ngram_matches,
    walk,
)
from examples.tiny_family.corpus import heldout_conversations
from examples.tiny_family.corpus.conversation import CATEGORIES
from examples.tiny_family.export import load_eagle3, load_llama
from examples.tiny_family.generate import generate
from examples.tiny_family.recipe import DRAFT_LENGTH, DRAFT_SHAPE, EAGLE3_SHAPE, TARGET_SHAPE
from examples.tiny_family.tokenizer import ASSISTANT, END, END_ID, USER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import tokenizers

    from examples.tiny_family.model import Llama

PROMPTS_PER_CATEGORY = 24
LONGEST_OUTPUT_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Asked:
    """One held-out prompt and the target's greedy answer to it."""

    category: str
    prompt: str
    answer: Answer
    finished: bool


def evaluate(built: Path, prompts: Iterator[tuple[str, str]], report: Path) -> None:
    """Measure the checkpoints under ``built``; write ``report`` (Markdown) and the answers beside it (JSON lines).

    ``prompts`` are ``(category, first user message)`` pairs.
    """
    target = load_llama(TARGET_SHAPE, built / "target")
    tokenizer = chat_tokenizer.load(built / "target")
    asked = ask(target, tokenizer, prompts)
    drafters = load_drafters(built, target)
    table = acceptance_table(asked, drafters)
    report.write_text(table + "\n", encoding="utf-8")
    with report.with_suffix(".jsonl").open("w", encoding="utf-8") as lines:
        for item in asked:
            span = item.answer.tokens[item.answer.prompt_tokens :][: item.answer.output_tokens]
            row = {
                "category": item.category,
                "finished": item.finished,
                "prompt": item.prompt,
                "answer": tokenizer.decode(span, skip_special_tokens=False),
            }
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(table, flush=True)


def heldout_prompts(seed: int) -> Iterator[tuple[str, str]]:
    """``(category, first user message)`` pairs the training text never contains."""
    for category in CATEGORIES:
        conversations = heldout_conversations(category, seed + 1, turns=1)
        for conversation in islice(conversations, PROMPTS_PER_CATEGORY):
            yield category, conversation.messages[0].content


def ask(target: Llama, tokenizer: tokenizers.Tokenizer, prompts: Iterator[tuple[str, str]]) -> list[Asked]:
    """The target's greedy answers of at most :data:`LONGEST_OUTPUT_TOKENS` tokens, in fp32."""
    chosen = sorted(
        (
            (tokenizer.encode(f"{USER}\n{prompt}{END}\n{ASSISTANT}\n").ids, category, prompt)
            for category, prompt in prompts
        ),
        key=lambda item: len(item[0]),
    )
    asked: list[Asked] = []
    for start in range(0, len(chosen), 32):
        batch = chosen[start : start + 32]
        continuations = generate(target, [ids for ids, _, _ in batch], LONGEST_OUTPUT_TOKENS + DRAFT_LENGTH)
        for (ids, category, prompt), tokens in zip(batch, continuations, strict=True):
            finished = END_ID in tokens[:LONGEST_OUTPUT_TOKENS]
            length = tokens.index(END_ID) + 1 if finished else LONGEST_OUTPUT_TOKENS
            answer = Answer(ids + tokens[: length + DRAFT_LENGTH], len(ids), length)
            asked.append(Asked(category, prompt, answer, finished))
    return asked


def load_drafters(built: Path, target: Llama) -> dict[str, Matches]:
    """The four drafters by name."""
    head = load_eagle3(EAGLE3_SHAPE, built / "eagle3")
    draft = load_llama(DRAFT_SHAPE, built / "draft")
    return {
        "eagle3": eagle3_matches(target, head, None),
        "eagle3-pruned": eagle3_matches(target, head, _kept_tokens(built / "eagle3-pruned")),
        "draft": draft_model_matches(draft),
        "n-gram": ngram_matches,
    }


def acceptance_table(asked: list[Asked], drafters: Mapping[str, Matches]) -> str:
    """A Markdown table: mean output tokens, share of finished answers, then per drafter tokens per decode step.

    Category figures are means over prompts; the last row is the mean over all prompts. A prompt whose whole output
    comes from the prefill has no decode step and is left out.
    """
    per_category: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in asked:
        for name, matches in drafters.items():
            length = walk(item.answer, matches(item.answer)).tokens_per_decode_step
            for group in (item.category, "all"):
                if length is not None:
                    per_category[group][name].append(length)
        for group in (item.category, "all"):
            per_category[group]["tokens"].append(item.answer.output_tokens)
            per_category[group]["finished"].append(float(item.finished))
    lines = [
        "| category | output tokens | finished | " + " | ".join(drafters) + " | pruning |",
        "|---|---|---|" + "---|" * (len(drafters) + 1),
    ]
    for group in (*CATEGORIES, "all"):
        means = {name: sum(values) / len(values) for name, values in per_category[group].items()}
        loss = means["eagle3-pruned"] / means["eagle3"] - 1
        figures = " | ".join(f"{means[name]:.2f}" for name in drafters)
        lines.append(f"| {group} | {means['tokens']:.0f} | {means['finished']:.0%} | {figures} | {loss:+.1%} |")
    return "\n".join(lines)


def _kept_tokens(folder: Path) -> Tensor:
    offsets = load_file(folder / "model.safetensors")["d2t"]
    return offsets + torch.arange(len(offsets))
