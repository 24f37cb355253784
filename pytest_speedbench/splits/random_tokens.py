"""Random tokens: the negative control. They are no workload, and show how far off a figure measured on them is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.rows import content_hash
from pytest_speedbench.splits.schema import Prompt, Split, TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

SEED = 0
CATEGORY = "random"
_ATTEMPTS = 100
CONTROL_WARNING = (
    "Random tokens are no workload: acceptance and speed measured on them do not carry over to text that people write "
    "(throughput with a drafter was published as about 23 % too high), so take them as a negative control only."
)


def random_split(tokens: int, count: int, tokenizer: TextTokenizer, seed: int = SEED) -> Split:
    """Prompts of random text, each of ``tokens`` tokens as nearly as can be and never more.

    Tokens are drawn uniformly from those that are text by themselves. Side by side, some of them read as fewer or more
    tokens than were drawn, so text is drawn until there is enough and then cut. The same on every machine: prompt i
    depends on the seed, the length, i and the tokenizer alone, so the first 10 prompts are those of a split of 10.

    Args:
        tokens: of each prompt, at least 1, without the chat template.
        count: of prompts, at least 1.
        tokenizer: whose tokens are drawn.
        seed: not negative.

    Raises:
        SplitError: the tokenizer has no token that is text by itself, or so few tokens make no text.
    """
    import numpy as np

    pieces = tokenizer.pieces()
    if not any(piece.strip() for piece in pieces):
        raise SplitError(
            f"The tokenizer {tokenizer.name} has no token that is text by itself, so that random tokens make no text.",
            "Measure on a split of real prompts.",
        )
    prompts = []
    for index in range(count):
        text, reached = _text(tokens, pieces, tokenizer, np.random.PCG64([seed, tokens, index]))
        prompts.append(Prompt(f"random-{index + 1:04d}", CATEGORY, "", (text,), isl_tokens=reached))
    return Split(
        name=f"random-{tokens}",
        prompts=tuple(prompts),
        sha256=content_hash(prompts),
        total=count,
        origin=f"random tokens of {tokenizer.name}, seed {seed}",
        control=True,
    )


def _text(tokens: int, pieces: Sequence[str], tokenizer: TextTokenizer, generator: np.random.PCG64) -> tuple[str, int]:
    text, count = "", 0
    for _ in range(_ATTEMPTS):
        # Raw draws, because what numpy makes of them may change with its version.
        drawn = generator.random_raw(tokens - count) % len(pieces)
        text += "".join([pieces[place] for place in drawn])
        count = tokenizer.count(text)
        if count >= tokens:
            text, count = tokenizer.cut(text, tokens)
            if text.strip():
                return text, count
            text, count = "", 0
    raise SplitError(
        f"{tokens} random tokens of {tokenizer.name} make no text of about that length.", "Ask for more tokens."
    )
