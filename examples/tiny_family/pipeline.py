"""The stages in order. Each leaves its result in its own folder and is skipped where that result already lies."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import torch

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.answers import answer_prompts
from examples.tiny_family.corpus import training_conversations
from examples.tiny_family.data import EncodedCorpus, encode
from examples.tiny_family.evaluate import evaluate, heldout_prompts
from examples.tiny_family.export import (
    export_eagle3,
    export_llama,
    export_pruned_eagle3,
    frequent_english_tokens,
    load_llama,
)
from examples.tiny_family.recipe import TARGET_SHAPE, Recipe
from examples.tiny_family.train_drafters import train_draft, train_eagle3
from examples.tiny_family.train_target import train_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Pipeline:
    """Retrains the family into ``out``; the same seed, recipe and thread count give the same family."""

    def __init__(self, out: Path, recipe: Recipe, seed: int) -> None:
        self.out, self.recipe, self.seed = out, recipe, seed
        self.built = out / "checkpoints"

    def run(self) -> None:
        """Run every stage that has not been run yet."""
        self.out.mkdir(parents=True, exist_ok=True)
        stages: list[tuple[str, Callable[[], None]]] = [
            ("tokenizer", self._tokenizer),
            ("corpus", self._corpus),
            ("target", self._target),
            ("answers", self._answers),
            ("draft", self._draft),
            ("eagle3", self._eagle3),
            ("evaluate", self._evaluate),
        ]
        for name, stage in stages:
            marker = self.out / f"{name}.done"
            if marker.exists():
                continue
            began_s = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')} stage {name}", flush=True)
            stage()
            marker.write_text(f"{time.monotonic() - began_s:.0f} s\n", encoding="utf-8")

    def _tokenizer(self) -> None:
        tokenizer = chat_tokenizer.train(training_conversations(self.seed, self.recipe.tokenizer_conversations))
        chat_tokenizer.save(tokenizer, self.out / "tokenizer")

    def _corpus(self) -> None:
        conversations = training_conversations(self.seed, self.recipe.conversations)
        encoded = encode(chat_tokenizer.load(self.out / "tokenizer"), conversations)
        encoded.save(self.out / "corpus.npz")
        print(f"{len(encoded)} conversations, {len(encoded.ids)} tokens", flush=True)

    def _target(self) -> None:
        target = train_target(self._text("corpus"), self.recipe, self.seed, self.out / "target")
        export_llama(target, chat_tokenizer.load(self.out / "tokenizer"), self.built / "target")

    def _answers(self) -> None:
        target = load_llama(TARGET_SHAPE, self.built / "target")
        answer_prompts(target, self._text("corpus"), self.recipe, self.seed).save(self.out / "answers.npz")

    def _draft(self) -> None:
        target = load_llama(TARGET_SHAPE, self.built / "target")
        draft = train_draft(target, self._drafters_text(), self.recipe, self.seed, self.out / "draft")
        export_llama(draft, chat_tokenizer.load(self.out / "tokenizer"), self.built / "draft")

    def _eagle3(self) -> None:
        target = load_llama(TARGET_SHAPE, self.built / "target")
        head = train_eagle3(target, self._drafters_text(), self.recipe, self.seed, self.out / "eagle3")
        export_eagle3(head, self.built / "eagle3")
        export_pruned_eagle3(head, frequent_english_tokens(self._text("corpus")), self.built / "eagle3-pruned")

    def _evaluate(self) -> None:
        evaluate(self.built, heldout_prompts(self.seed), self.out / "acceptance.md")

    def _text(self, name: str) -> EncodedCorpus:
        return EncodedCorpus.load(self.out / f"{name}.npz")

    def _drafters_text(self) -> EncodedCorpus:
        return EncodedCorpus.join([*[self._text("answers")] * self.recipe.answer_repeats, self._text("corpus")])


def use_threads() -> None:
    """Train on all cores, whatever smaller number the environment set for other programs."""
    torch.set_num_threads(os.cpu_count() or 1)
