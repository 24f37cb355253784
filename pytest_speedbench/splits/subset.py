"""Subsets that stay comparable: the same prompts on every machine, and a smaller subset lies inside a larger one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pytest_speedbench.errors import SplitError, closest
from pytest_speedbench.splits.schema import Prompt, Split


def select(split: Split, categories: Sequence[str] | None = None, prompts: int | None = None) -> Split:
    """The part of a split that has these categories, cut to ``prompts`` rows spread evenly over them.

    Prompts are ranked inside their category by a hash of their id and taken in turn from each category, so the choice
    depends on nothing but the ids and the first 10 are among the first 20. The split's order is kept.

    Raises:
        SplitError: a category the split does not have, or more prompts than there are.
    """
    chosen = split.prompts
    if categories is not None:
        for category in categories:
            if category not in split.categories:
                raise SplitError(
                    f"The split {split.name!r} has no category {category!r}.",
                    f"{closest(category, split.categories)}It has: {', '.join(split.categories)}.",
                )
        chosen = tuple(prompt for prompt in chosen if prompt.category in categories)
    if prompts is not None:
        if prompts > len(chosen):
            raise SplitError(
                f"{prompts} prompts are asked of {len(chosen)} in the split {split.name!r}.",
                f"Ask for at most {len(chosen)}, or leave the number out to take all.",
            )
        keep = set(_ranked_ids(chosen)[:prompts])
        chosen = tuple(prompt for prompt in chosen if prompt.question_id in keep)
    return replace(split, prompts=chosen)


def _ranked_ids(prompts: Sequence[Prompt]) -> list[str]:
    by_category: dict[str, list[str]] = {}
    for prompt in prompts:
        by_category.setdefault(prompt.category, []).append(prompt.question_id)
    keyed: list[tuple[int, str, str]] = []
    for category, ids in by_category.items():
        ranked = sorted(ids, key=lambda text: hashlib.sha256(text.encode()).digest())
        keyed.extend((rank, category, question_id) for rank, question_id in enumerate(ranked))
    return [question_id for _, _, question_id in sorted(keyed)]
