"""The first turns of a split as token ids: made once, before any engine is started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.bulk import encode_in_bulk
from pytest_speedbench.measure.prompts import (
    ChatEncoder,
    LateEncoder,
    TemplateEncoder,
    encode_turn,
    ids_hash,
    render_turn,
)
from pytest_speedbench.measure.token_cache import TokenCache, cache_key
from pytest_speedbench.splits.schema import Prompt

BULK_CHARS = 4 * 2**20
"""First turns with less text are tokenized one by one and not cached: looking them up would cost more."""


@dataclass(frozen=True, slots=True, eq=False)
class Tokenized:
    """First turns, rendered with the target's chat template.

    Attributes:
        question_ids: of the prompts, in order.
        ids: of all of them, one after the other; mapped from disk if they come from the cache.
        offsets: where each begins in ``ids``, and at the end their number.
        sha256: :func:`~pytest_speedbench.measure.prompts.ids_hash` of each.
        notes: what went otherwise than it should; one sentence each.
        let_go: gives back the memory of mapped ids that were read.
    """

    question_ids: tuple[str, ...]
    ids: NDArray[np.uint32]
    offsets: tuple[int, ...]
    sha256: tuple[str, ...]
    notes: tuple[str, ...] = ()
    let_go: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self.question_ids)

    def __getitem__(self, place: int) -> NDArray[np.uint32]:
        """The ids of one prompt: a view, not a copy."""
        return self.ids[self.offsets[place] : self.offsets[place + 1]]

    def tokens(self, place: int) -> int:
        """How many tokens one prompt has."""
        return self.offsets[place + 1] - self.offsets[place]

    def request_ids(self, place: int) -> tuple[int, ...]:
        """The ids of one prompt as a request takes them; only this copy stays in memory."""
        ids = tuple(self[place].tolist())
        self.let_go()
        return ids


def tokenize(encoder: ChatEncoder, prompts: Sequence[Prompt]) -> Tokenized:
    """Render and tokenize the first turn of every prompt.

    Raises:
        EngineError: the chat template refuses a prompt, leaves out its text or its system message, or renders it as it
            does another one; it names the prompt.
    """
    notes: tuple[str, ...] = ()
    if isinstance(encoder, TemplateEncoder) and is_bulky(prompts):
        items, notes = encode_in_bulk(encoder, prompts)
    else:
        items = [np.array(encode_turn(encoder, prompt, ()), dtype=np.uint32) for prompt in prompts]
    hashes = tuple(ids_hash(ids) for ids in items)
    _check_apart(encoder, prompts, hashes)
    return Tokenized(
        question_ids=tuple(prompt.question_id for prompt in prompts),
        ids=np.concatenate(items) if items else np.empty(0, np.uint32),
        offsets=tuple(accumulate((len(ids) for ids in items), initial=0)),
        sha256=hashes,
        notes=notes,
    )


def tokenize_or_recall(encoder: LateEncoder, prompts: Sequence[Prompt], folder: Path | None) -> Tokenized:
    """As :func:`tokenize`, from the cache if these prompts were tokenized before by this tokenizer and template.

    Args:
        encoder: loaded only if it is needed.
        prompts: what is asked.
        folder: of the cache; ``None`` for no cache.

    Raises:
        EngineError: as for :func:`tokenize`, or the tokenizer cannot be loaded.
    """
    if folder is None or not is_bulky(prompts):
        return tokenize(encoder.loaded, prompts)
    cache, key = TokenCache(folder), cache_key(encoder.folder, prompts)
    question_ids = tuple(prompt.question_id for prompt in prompts)
    found, notes = cache.get(key, len(prompts))
    if found is not None:
        return Tokenized(question_ids, found.ids, found.offsets, found.sha256, notes, found.let_go)
    made = tokenize(encoder.loaded, prompts)
    notes += cache.put(key, made.ids, made.offsets, made.sha256)
    return Tokenized(question_ids, made.ids, made.offsets, made.sha256, (*made.notes, *notes))


def is_bulky(prompts: Sequence[Prompt]) -> bool:
    """Whether the first turns have so much text that how they are tokenized matters."""
    return sum(len(prompt.system) + len(prompt.turns[0]) for prompt in prompts) > BULK_CHARS


def _check_apart(encoder: ChatEncoder, prompts: Sequence[Prompt], hashes: Sequence[str]) -> None:
    """Refuse a template that makes the same text of different ones, as one that keeps only their beginning does."""
    alike: dict[str, Prompt] = {}
    for prompt, sha256 in zip(prompts, hashes, strict=True):
        first = alike.setdefault(sha256, prompt)
        if first is prompt or _letters(first) == _letters(prompt):
            continue
        # A tokenizer may make the same ids of two texts (it knows no capitals, say); that is the target's own affair.
        if render_turn(encoder, first, ()) == render_turn(encoder, prompt, ()):
            raise EngineError(
                f"The target's chat template renders {first.question_id!r} and {prompt.question_id!r} alike, though "
                "their texts differ: a part of them is left out.",
                "Mend the template: what it leaves out is not asked.",
            )


def _letters(prompt: Prompt) -> tuple[str, str]:
    """What a template that strips or joins blanks, or changes capitals, still has to tell apart."""
    return "".join(prompt.system.split()).casefold(), "".join(prompt.turns[0].split()).casefold()
