"""What is asked: prompts in SPEED-Bench's columns, and splits of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class TextTokenizer(Protocol):
    """Counts and cuts plain text in tokens, without a chat template.

    No special token is added, and text that looks like one is ordinary text. May be used from several threads.
    """

    @property
    def name(self) -> str:
        """For messages and records, e.g. ``o200k_base``."""

    def count(self, text: str) -> int:
        """Tokens of this text by itself."""

    def cut(self, text: str, tokens: int) -> tuple[str, int]:
        """The beginning of the text in at most so many tokens, and how many it has by itself.

        It is the text itself where that is short enough, and ends with a whole character, so that it may have a few
        tokens less than asked.
        """

    def pieces(self) -> Sequence[str]:
        """What random text is made of: every ordinary token that is text by itself, in an order that never changes."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row of a split.

    Attributes:
        question_id: unique within its split; results are paired by it.
        category: the row of every table that it counts for.
        sub_category: finer than the category; empty if there is none.
        turns: the user's messages, at least one; replies are fed back between them. They do not change.
        source: of the text, as its dataset says.
        src_id: its id there.
        difficulty: as its dataset says.
        system: the system message before the first turn; empty for none.
        isl_tokens: the tokens to which the first turn was cut or filled; ``None`` where its length is its own.
    """

    question_id: str
    category: str
    sub_category: str
    turns: Sequence[str]
    source: str = ""
    src_id: str = ""
    difficulty: str = ""
    system: str = ""
    isl_tokens: int | None = None

    @property
    def multiturn(self) -> bool:
        """Whether there is more than one user message."""
        return len(self.turns) > 1


@dataclass(frozen=True, slots=True)
class Split:
    """A named list of prompts.

    Attributes:
        name: under which its baselines are kept.
        prompts: at least one.
        sha256: identifies the content of the whole split it was taken from. A subset keeps it, so that it stays
            comparable with a baseline of the whole.
        total: how many prompts that whole split has.
        origin: where it was read from, with the revision if it has one.
        notes: what was left out or changed while reading; one sentence each.
        control: whether it is a negative control, no workload: random tokens.
    """

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str
    total: int
    origin: str = ""
    notes: tuple[str, ...] = ()
    control: bool = False

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories present, in alphabetical order."""
        return tuple(sorted({prompt.category for prompt in self.prompts}))

    def counts(self) -> dict[str, int]:
        """Prompts per category."""
        return dict(sorted(Counter(prompt.category for prompt in self.prompts).items()))
