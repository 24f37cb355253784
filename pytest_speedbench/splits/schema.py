"""What is asked: prompts in SPEED-Bench's columns, and splits of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row of a split. ``turns`` are the user's messages, at least one; replies are fed back between them."""

    question_id: str
    category: str
    sub_category: str
    turns: tuple[str, ...]
    source: str = ""
    src_id: str = ""
    difficulty: str = ""

    @property
    def multiturn(self) -> bool:
        """Whether there is more than one user message."""
        return len(self.turns) > 1


@dataclass(frozen=True, slots=True)
class Split:
    """A named list of prompts.

    ``sha256`` identifies the content of the whole split it was taken from, and ``total`` counts that split's prompts: a
    subset keeps both, so that it stays comparable with a baseline of the whole.
    """

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str
    total: int

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories present, in alphabetical order."""
        return tuple(sorted({prompt.category for prompt in self.prompts}))

    def counts(self) -> dict[str, int]:
        """Prompts per category."""
        return dict(sorted(Counter(prompt.category for prompt in self.prompts).items()))
