"""Candidates become a diverse split, and the figures that show it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pytest_speedbench.curation.embeddings import Embeddings
from pytest_speedbench.curation.selection import choose
from pytest_speedbench.curation.vectors import average_similarity, lattice_of, unit_rows
from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import Prompt, Split

RANDOM_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Similarity:
    """Average pairwise cosine similarities within a category, or their means over categories.

    Attributes:
        candidates: of all candidates.
        random: of as many random candidates as were selected, mean of :data:`RANDOM_DRAWS` draws.
        random_lowest: of the draw that is lowest; of means over categories, the mean of the lowest.
        selected: of the selected prompts.
    """

    candidates: float
    random: float
    random_lowest: float
    selected: float


@dataclass(frozen=True, slots=True)
class CuratedCategory:
    """One category.

    Attributes:
        name: of the category.
        candidates: how many there were.
        selected: question ids, in the candidates' order.
        similarity: before and after.
        swaps: made to improve the greedy choice.
        settled: whether no swap could improve the choice further.
    """

    name: str
    candidates: int
    selected: tuple[str, ...]
    similarity: Similarity
    swaps: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Curation:
    """What was selected of a split's candidates.

    Attributes:
        split: the candidates.
        per_category: prompts selected of each category.
        seed: of the random draws; the selection does not depend on it.
        embeddings: what the prompts were compared by.
        dimensions: of the vectors.
        categories: in alphabetical order.
        notes: what the reader of the figures should know; one sentence each.
    """

    split: Split
    per_category: int
    seed: int
    embeddings: str
    dimensions: int
    categories: tuple[CuratedCategory, ...]
    notes: tuple[str, ...]

    @property
    def overall(self) -> Similarity:
        """Means over the categories."""
        each = [category.similarity for category in self.categories]
        return Similarity(
            candidates=_mean([one.candidates for one in each]),
            random=_mean([one.random for one in each]),
            random_lowest=_mean([one.random_lowest for one in each]),
            selected=_mean([one.selected for one in each]),
        )

    @property
    def selected(self) -> tuple[Prompt, ...]:
        """The selected prompts, in the candidates' order."""
        ids = {question_id for category in self.categories for question_id in category.selected}
        return tuple(prompt for prompt in self.split.prompts if prompt.question_id in ids)


def curate(split: Split, embeddings: Embeddings, per_category: int, seed: int = 0) -> Curation:
    """Select of each category the prompts whose average pairwise cosine similarity is as low as can be found.

    The selection depends on the vectors and, among equals, on the question ids, not on the candidates' order or the
    seed. A smaller selection need not lie inside a larger one.

    Args:
        split: the candidates.
        embeddings: one vector for each.
        per_category: prompts to select of each category, at least 2.
        seed: of the random draws to compare with.

    Raises:
        SplitError: a category has too few candidates or one prompt twice, or a vector has no direction.
    """
    by_category: dict[str, list[int]] = {name: [] for name in split.categories}
    for row, prompt in enumerate(split.prompts):
        by_category[prompt.category].append(row)
    _check_enough(by_category, per_category)
    for rows in by_category.values():
        _check_distinct(split, rows)
    categories = tuple(
        _curate_category(name, rows, split, embeddings, per_category, seed) for name, rows in by_category.items()
    )
    unsettled = [category.name for category in categories if not category.settled]
    notes = (*split.notes, *embeddings.notes)
    if unsettled:
        notes = (*notes, f"Swaps were stopped before they could improve nothing further in: {', '.join(unsettled)}.")
    return Curation(split, per_category, seed, embeddings.origin, embeddings.dimensions, categories, notes)


def jsonl(prompts: Sequence[Prompt]) -> bytes:
    """The prompts as JSONL in SPEED-Bench's columns, and ``system`` where there is a system message."""
    return b"".join(msgspec.json.encode(_row(prompt)) + b"\n" for prompt in prompts)


def _curate_category(
    name: str, rows: Sequence[int], split: Split, embeddings: Embeddings, number: int, seed: int
) -> CuratedCategory:
    # In the order of their ids, so that the lowest id is the first of equals.
    rows = sorted(rows, key=lambda row: split.prompts[row].question_id)
    ids = [split.prompts[row].question_id for row in rows]
    lattice, of_candidates = lattice_of(embeddings, rows, ids)
    choice = choose(lattice, number)

    def similarity(places: Sequence[int]) -> float:
        return average_similarity(
            unit_rows(embeddings, [rows[place] for place in places], [ids[place] for place in places])
        )

    draw = random.Random(f"{seed}/{name}")  # noqa: S311
    drawn = [similarity(draw.sample(range(len(rows)), number)) for _ in range(RANDOM_DRAWS)]
    return CuratedCategory(
        name=name,
        candidates=len(rows),
        selected=tuple(split.prompts[row].question_id for row in sorted(rows[place] for place in choice.rows)),
        similarity=Similarity(of_candidates, _mean(drawn), min(drawn), similarity(choice.rows)),
        swaps=choice.swaps,
        settled=choice.settled,
    )


def _check_enough(by_category: dict[str, list[int]], number: int) -> None:
    short = {name: len(rows) for name, rows in by_category.items() if len(rows) < number}
    if short:
        counts = ", ".join(f"{name} {count}" for name, count in short.items())
        raise SplitError(
            f"{number} prompts are to be selected of each category, but some have fewer candidates: {counts}.",
            f"Select at most {min(short.values())}, or add candidates to these categories.",
        )


def _check_distinct(split: Split, rows: Sequence[int]) -> None:
    """Refuse a prompt that is there twice: similar to itself, it would only hide how few candidates there are."""
    first: dict[tuple[str, tuple[str, ...]], int] = {}
    twice = [(first[key], row) for row in rows if first.setdefault(key := _content(split.prompts[row]), row) != row]
    if twice:
        one, other = twice[0]
        more = f" (and {len(twice) - 1} more like it)" if len(twice) > 1 else ""
        raise SplitError(
            f"{split.name}: candidate {other + 1}, {split.prompts[other].question_id!r}, is the same prompt as "
            f"candidate {one + 1}, {split.prompts[one].question_id!r}{more}.",
            "Keep one of each.",
        )


def _content(prompt: Prompt) -> tuple[str, tuple[str, ...]]:
    return prompt.system, tuple(prompt.turns)


def _row(prompt: Prompt) -> dict[str, object]:
    row: dict[str, object] = {
        "question_id": prompt.question_id,
        "category": prompt.category,
        "sub_category": prompt.sub_category,
        "turns": list(prompt.turns),
        "source": prompt.source,
        "src_id": prompt.src_id,
        "difficulty": prompt.difficulty,
        "multiturn": prompt.multiturn,
    }
    return {**row, "system": prompt.system} if prompt.system else row


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
