"""The order in which prompts are asked when a run may end early: random, and fair to every category at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pytest_speedbench.splits.schema import Prompt


def stratified_order(prompts: Sequence[Prompt], seed: int) -> tuple[Prompt, ...]:
    """A seeded random order in which categories advance in proportion to their sizes.

    Prompts are ranked inside their category by a hash of seed and id, so that any beginning is a random sample of the
    category. After m of N prompts, those asked of a category of n differ from m · n / N by less than one: its prompt
    number j, counted from 0, gets one of the places ⌊j · N / n⌋ to ⌈(j + 1) · N / n⌉ − 1, and of the prompts that may
    have a place the one with the earliest last place takes it (Baruah, Cohen, Plaxton and Varvel 1996, Algorithmica 15,
    600–625: then all get theirs). Hashes decide between equals.

    The order depends on seed, ids and categories only: not on the order given, the machine or the Python version.

    Args:
        prompts: with ids of their own.
        seed: another one gives another order.
    """
    ranks = {prompt.question_id: _rank(prompt.question_id, seed) for prompt in prompts}
    waiting: dict[str, list[Prompt]] = {}
    for prompt in sorted(prompts, key=lambda prompt: ranks[prompt.question_id], reverse=True):
        waiting.setdefault(prompt.category, []).append(prompt)
    total = len(prompts)
    sizes = {category: len(rows) for category, rows in waiting.items()}

    def urgency(category: str) -> tuple[int, bytes]:
        left, size = waiting[category], sizes[category]
        return -(-(size - len(left) + 1) * total // size), ranks[left[-1].question_id]

    ordered: list[Prompt] = []
    for place in range(total):
        due = [c for c, left in waiting.items() if left and (sizes[c] - len(left)) * total // sizes[c] <= place]
        ordered.append(waiting[min(due, key=urgency)].pop())
    return tuple(ordered)


def _rank(question_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{question_id}".encode()).digest()
