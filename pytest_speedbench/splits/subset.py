"""Subsets that stay comparable: the same prompts on every machine, and a smaller subset lies inside a larger one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_speedbench.errors import SplitError, closest
from pytest_speedbench.splits.conditions import Condition, describe, needs_tokenizer, values_of
from pytest_speedbench.splits.schema import Prompt, Split, TextTokenizer

_MOST_SHOWN = 20


def select(
    split: Split,
    categories: Sequence[str] | None = None,
    prompts: int | None = None,
    where: Sequence[Condition] = (),
    tokenizer: Callable[[], TextTokenizer] | None = None,
) -> Split:
    """The part of a split that has these categories and meets these conditions, cut to ``prompts`` rows.

    The rows are spread evenly over the categories. Prompts are ranked inside their category by a hash of their id and
    taken in turn from each category, so the choice depends on nothing but the ids and the first 10 are among the first
    20. The split's order is kept.

    Args:
        split: the whole.
        categories: the only ones kept; ``None`` for all.
        prompts: how many are kept; ``None`` for all.
        where: what every kept prompt meets.
        tokenizer: gives the target's tokenizer, for conditions that count tokens.

    Raises:
        SplitError: a category the split does not have, no prompt that meets the conditions, or more prompts than there
            are.
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
    if where:
        chosen = _meeting(split, chosen, where, tokenizer)
    if prompts is not None:
        if prompts > len(chosen):
            raise SplitError(
                f"{prompts} prompts are asked of {len(chosen)} in the split {split.name!r}.",
                f"Ask for at most {len(chosen)}, or leave the number out to take all.",
            )
        keep = set(_ranked_ids(chosen)[:prompts])
        chosen = tuple(prompt for prompt in chosen if prompt.question_id in keep)
    return replace(split, prompts=chosen)


def _meeting(
    split: Split,
    prompts: Sequence[Prompt],
    where: Sequence[Condition],
    tokenizer: Callable[[], TextTokenizer] | None,
) -> tuple[Prompt, ...]:
    counting = tokenizer() if tokenizer is not None and needs_tokenizer(where) else None
    chosen = tuple(prompt for prompt in prompts if all(condition.matches(prompt, counting) for condition in where))
    if not chosen:
        there = "; ".join(
            f"{condition.field} is {', '.join(values[:_MOST_SHOWN])}{', …' if len(values) > _MOST_SHOWN else ''}"
            for condition in where
            if (values := values_of(split, condition.field))
        )
        raise SplitError(
            f"In the split {split.name!r} no prompt meets {describe(where)}.",
            f"In it {there}." if there else "Widen the conditions.",
        )
    return chosen


def _ranked_ids(prompts: Sequence[Prompt]) -> list[str]:
    by_category: dict[str, list[str]] = {}
    for prompt in prompts:
        by_category.setdefault(prompt.category, []).append(prompt.question_id)
    keyed: list[tuple[int, str, str]] = []
    for category, ids in by_category.items():
        ranked = sorted(ids, key=lambda text: hashlib.sha256(text.encode()).digest())
        keyed.extend((rank, category, question_id) for rank, question_id in enumerate(ranked))
    return [question_id for _, _, question_id in sorted(keyed)]
