"""Mixes the task templates of all categories into one stream, and keeps a held-out share apart."""

from __future__ import annotations

from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING

from . import (
    coding,
    humanities,
    mathematics,
    multilingual,
    qa,
    rag,
    reasoning,
    roleplay,
    stem,
    summarization,
    writing,
)
from .conversation import CATEGORIES, Conversation, Message
from .draw import Draw, Task, Turn
from .follow_ups import echo_turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TASKS: dict[str, Sequence[Task]] = {
    "coding": coding.TASKS,
    "humanities": humanities.TASKS,
    "math": mathematics.TASKS,
    "multilingual": multilingual.TASKS,
    "qa": qa.TASKS,
    "rag": rag.TASKS,
    "reasoning": reasoning.TASKS,
    "roleplay": roleplay.TASKS,
    "stem": stem.TASKS,
    "summarization": summarization.TASKS,
    "writing": writing.TASKS,
}

TOKEN_SHARES: dict[str, float] = {name: 0.2 if name == "multilingual" else 0.08 for name in CATEGORIES}
"""Each category's share of the text; bytes stand in for tokens, since no tokenizer exists yet."""

HELD_OUT_SHARE = 16
"""One first prompt in this many is kept out of the training text."""

MULTI_TURN_SHARE = 0.17

_CUMULATIVE: dict[str, Sequence[float]] = {
    name: list(accumulate(task.weight for task in tasks)) for name, tasks in TASKS.items()
}


def is_held_out(first_prompt: str) -> bool:
    """Whether a dialogue that begins with this prompt belongs to evaluation; a fixed function of its words."""
    key = " ".join(first_prompt.casefold().split())
    return blake2b(key.encode(), digest_size=4).digest()[0] % HELD_OUT_SHARE == 0


def training_conversations(seed: int, count: int) -> Iterator[Conversation]:
    """Yield ``count`` conversations for training, balanced over the categories by text volume.

    The same seed gives the same text. No conversation begins with a held-out prompt.
    """
    draw = Draw(seed)
    volume = dict.fromkeys(CATEGORIES, 0.0)
    for _ in range(count):
        category = min(CATEGORIES, key=lambda name: volume[name])
        conversation = _draw_conversation(draw, category, held_out=False, turns=None)
        size = sum(len(message.content.encode()) + 8 for message in conversation.messages)
        volume[category] += size * (0.9 + 0.2 * draw.random()) / TOKEN_SHARES[category]
        yield conversation


def heldout_conversations(
    category: str, seed: int, sub_category: str | None = None, turns: int | None = None
) -> Iterator[Conversation]:
    """Yield without end conversations of ``category`` whose first prompt the training text never contains.

    ``sub_category`` restricts them to one task template, ``turns`` to dialogues of exactly that many user turns.
    Raises ``ValueError`` for an unknown category or sub-category, and for a number of turns that it never has.
    """
    if category not in TASKS:
        raise ValueError(f"unknown category {category!r}; the corpus has {', '.join(CATEGORIES)}")
    if sub_category is not None and sub_category not in sub_categories(category):
        raise ValueError(f"{category} has no task {sub_category!r}; it has {', '.join(sub_categories(category))}")
    draw = Draw(f"{seed}/{category}/{sub_category}/{turns}")
    misses = 0
    while misses < 500:
        found = _draw_conversation(draw, category, held_out=True, turns=turns, sub_category=sub_category)
        if turns is None or len(found.messages) == 2 * turns:
            yield found
            misses = 0
        misses += 1
    raise ValueError(f"{category}/{sub_category} makes no dialogues of {turns} turns")


def sub_categories(category: str) -> tuple[str, ...]:
    """The names of the category's task templates."""
    return tuple(dict.fromkeys(task.sub_category for task in TASKS[category]))


def _draw_conversation(
    draw: Draw, category: str, *, held_out: bool, turns: int | None, sub_category: str | None = None
) -> Conversation:
    tasks: Sequence[Task] = TASKS[category]
    weights: Sequence[float] = _CUMULATIVE[category]
    if sub_category is not None:
        tasks = [task for task in tasks if task.sub_category == sub_category]
        weights = list(range(1, len(tasks) + 1))
    for _ in range(10_000):
        task = draw.choices(tasks, cum_weights=weights)[0]
        dialogue = task.build(draw)
        if is_held_out(dialogue[0][0]) != held_out:
            continue
        if turns is None:
            turns = draw.choices((2, 3, 4, 5), (6, 3, 1, 1))[0] if draw.chance(MULTI_TURN_SHARE) else 1
        return _conversation(
            category, task.sub_category, _with_turns(draw, dialogue, turns, category == "multilingual")
        )
    raise ValueError(f"{category}/{sub_category}: too few distinct prompts to find one with held_out={held_out}")


def _with_turns(draw: Draw, dialogue: list[Turn], turns: int, one_language: bool) -> list[Turn]:
    kept = dialogue[:turns]
    if len(kept) < turns and not one_language:
        kept += echo_turns(draw, kept, turns - len(kept))
    return kept


def _conversation(category: str, sub_category: str, dialogue: Sequence[Turn]) -> Conversation:
    messages: list[Message] = []
    for prompt, answer in dialogue:
        messages.append(Message("user", prompt))
        messages.append(Message("assistant", answer))
    return Conversation(category, sub_category, tuple(messages))
