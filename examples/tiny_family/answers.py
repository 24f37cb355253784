"""Stage ``answers``: the target answers training prompts itself, because that is the text drafters have to follow."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from examples.tiny_family.data import EncodedCorpus
from examples.tiny_family.generate import generate
from examples.tiny_family.tokenizer import END_ID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from examples.tiny_family.model import Llama
    from examples.tiny_family.recipe import Recipe

PROMPTS_PER_BATCH = 128
LONGEST_PROMPT_TOKENS = 384
SAMPLING_TEMPERATURE = 0.8


def answer_prompts(target: Llama, corpus: EncodedCorpus, recipe: Recipe, seed: int) -> EncodedCorpus:
    """Conversations of first prompts from ``corpus`` with the target's answers; every other batch is sampled."""
    generator = np.random.default_rng([seed, 2])
    chosen: list[tuple[list[int], int]] = []
    for index in generator.permutation(len(corpus)):
        prompt = _first_prompt(corpus, int(index))
        if len(prompt) <= LONGEST_PROMPT_TOKENS:
            chosen.append((prompt, int(corpus.categories[index])))
        if len(chosen) == recipe.generated_prompts:
            break
    # bf16 halves the time; the answers need not be the exact greedy ones to be good training text.
    fast = copy.deepcopy(target).to(torch.bfloat16)
    # Prompts of like length share a batch, so that little of it is padding.
    chosen.sort(key=lambda item: len(item[0]))
    rows: list[tuple[list[int], int, int]] = []
    for number, start in enumerate(range(0, len(chosen), PROMPTS_PER_BATCH)):
        batch = chosen[start : start + PROMPTS_PER_BATCH]
        temperature = SAMPLING_TEMPERATURE if number % 2 else 0.0
        answers = generate(fast, [prompt for prompt, _ in batch], recipe.generated_tokens, temperature, seed + number)
        for (prompt, category), answer in zip(batch, answers, strict=True):
            cut = answer[: answer.index(END_ID) + 1] if END_ID in answer else answer
            rows.append((prompt + cut, len(prompt), category))
    return _as_corpus(rows)


def _first_prompt(corpus: EncodedCorpus, index: int) -> list[int]:
    """Everything up to the first answer token: the first user message and the assistant's mark."""
    span = slice(int(corpus.starts[index]), int(corpus.starts[index + 1]))
    first_answer = int(np.argmax(corpus.answers[span]))
    prompt: list[int] = corpus.ids[span][:first_answer].tolist()
    return prompt


def _as_corpus(rows: list[tuple[list[int], int, int]]) -> EncodedCorpus:
    ids = np.concatenate([np.asarray(tokens, np.uint16) for tokens, _, _ in rows])
    marks = [np.arange(len(tokens)) >= prompt_tokens for tokens, prompt_tokens, _ in rows]
    lengths = np.asarray([len(tokens) for tokens, _, _ in rows], np.int64)
    starts: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return EncodedCorpus(ids, np.concatenate(marks), starts, np.asarray([row[2] for row in rows], np.uint8))
