"""Counts the tokens in the answers of the family's training text, without and with its other languages.

    python -m examples.vocab_pruning.count_tokens       # writes counts/*.json; about two minutes

The text is generated from a seed, so everyone gets the same counts. None of its dialogues begins with a prompt of the
bundled splits: those are held out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.corpus import CATEGORIES, training_conversations
from examples.tiny_family.data import encode
from examples.tiny_family.recipe import FULL, VOCAB_SIZE
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.identity import tokenizer_sha256
from pytest_speedbench.pruning import TokenCounts, write_counts

SEED = 0
FOLDER = Path(__file__).parent / "counts"


def main() -> None:
    target = BUNDLED_FOLDER / "target"
    text = encode(chat_tokenizer.load(target), training_conversations(SEED, FULL.conversations))
    english = np.repeat(text.categories != CATEGORIES.index("multilingual"), text.lengths)
    FOLDER.mkdir(exist_ok=True)
    for name, chosen, source in (
        (
            "english",
            text.answers & english,
            "the answers of the family's training text, its multilingual ones left out",
        ),
        ("all_languages", text.answers, "the answers of the family's training text"),
    ):
        found = np.bincount(text.ids[chosen], minlength=VOCAB_SIZE)
        counts = {int(token): int(found[token]) for token in np.flatnonzero(found)}
        write_counts(TokenCounts(counts, VOCAB_SIZE, source, tokenizer_sha256(target)), FOLDER / f"{name}.json")
        print(f"{name}: {len(counts)} different tokens in {int(found.sum())}")


if __name__ == "__main__":
    main()
