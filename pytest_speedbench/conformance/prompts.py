"""What the suite asks: prompts of the bundled split, rendered with the target's own tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.measure.prompts import TemplateEncoder, dialogue, encode_turn
from pytest_speedbench.splits import load_split

_SPLIT = "mini"
_OPEN_CATEGORIES = ("writing", "humanities", "roleplay", "multilingual")
"""Where many continuations are likely, so that sampling has something to vary."""
_SHORT_ANSWERS = (
    "Answer with one word only: what is the capital of France?",
    "Reply with the single word OK.",
    "What is 2 + 2? Answer with the number only.",
)

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Token ids to ask.

    Attributes:
        one_per_category: the shortest prompt of every category, the shortest first.
        open_ended: for sampling; every other one breaks off in the middle of the user's words, where a language model
            has the most to choose from.
        short_answers: whose answers end soon.
        bos_id: the tokenizer's id for the beginning of a sequence; ``None`` if it has none.
    """

    one_per_category: tuple[Ids, ...]
    open_ended: tuple[Ids, ...]
    short_answers: tuple[Ids, ...]
    bos_id: int | None


def load_prompts(pair: Pair) -> Prompts:
    """Render the prompts for a pair's target.

    Raises:
        EngineError: the model or its tokenizer is not there, or has no chat template.
    """
    encoder = TemplateEncoder.load(open_checkpoint(pair.model, download=True).folder)
    shortest: dict[str, Ids] = {}
    for prompt in load_split(_SPLIT).prompts:
        ids = encode_turn(encoder, prompt, ())
        if prompt.category not in shortest or len(ids) < len(shortest[prompt.category]):
            shortest[prompt.category] = ids
    whole = [shortest[category] for category in _OPEN_CATEGORIES]
    return Prompts(
        one_per_category=tuple(sorted(shortest.values(), key=len)),
        open_ended=tuple(ids if n % 2 == 0 else ids[: max(2, len(ids) // 2)] for n, ids in enumerate(whole)),
        short_answers=tuple(encoder.encode(dialogue([text], ())) for text in _SHORT_ANSWERS),
        bos_id=_bos_id(encoder.tokenizer),
    )


def _bos_id(tokenizer: Any) -> int | None:
    found = getattr(tokenizer, "bos_token_id", None)
    return None if found is None else int(found)
