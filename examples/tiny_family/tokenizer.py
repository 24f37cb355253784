"""The family's tokenizer: byte-level BPE with split digits and a chat template of four marks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from examples.tiny_family.recipe import VOCAB_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from examples.tiny_family.corpus.conversation import Conversation

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL_TOKENS = (PAD, USER, ASSISTANT, END)
PAD_ID, USER_ID, ASSISTANT_ID, END_ID = range(4)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)
"""``<|user|>\\n…<|end|>\\n<|assistant|>\\n…<|end|>\\n``; without a beginning-of-text token none can be doubled."""


MULTILINGUAL_REPEATS = 10
"""How often each multilingual conversation counts, so that all its languages get whole words in so small a vocabulary.

It also leaves English with little more than a quarter of the tokens, which is what a pruned drafter keeps.
"""


def train(conversations: Iterable[Conversation]) -> tokenizers.Tokenizer:
    """Train the tokenizer on all messages. The result depends on the text alone, not on a seed."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        message.content
        for conversation in conversations
        for _ in range(MULTILINGUAL_REPEATS if conversation.category == "multilingual" else 1)
        for message in conversation.messages
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        found = tokenizer.get_vocab_size()
        raise ValueError(
            f"The corpus yields {found} of {VOCAB_SIZE} tokens: train the tokenizer on more conversations."
        )
    return tokenizer


def save(tokenizer: tokenizers.Tokenizer, folder: Path) -> None:
    """Write ``tokenizer.json`` and a ``tokenizer_config.json`` that ``AutoTokenizer`` loads without a network."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [USER, ASSISTANT],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> tokenizers.Tokenizer:
    """Read back what :func:`save` wrote."""
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
