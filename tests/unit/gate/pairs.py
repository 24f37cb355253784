"""Prompts with steps made by hand or at random, in pairs and as conversations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.gate import Pairing, PromptPair, StepCounts
from pytest_speedbench.measure.run import Conversation, Run
from tests.unit.metrics.runs import conversation, run, turn

Values = NDArray[np.float64]
Prompt = float | AcceptanceRecord | None
"""A prompt on one side: a length (tokens per step), a record, or nothing that was decoded."""

DRAFT_LENGTH = 3
STEPS = 200


def record(*histogram: int, undrafted: int | None = 0) -> AcceptanceRecord:
    """``histogram[j]`` steps that accepted j tokens."""
    return AcceptanceRecord(len(histogram) - 1, histogram, None, undrafted)


def even(length: float, steps: int = STEPS) -> AcceptanceRecord:
    """The length as exactly as so many steps can have it, all steps as alike as they can be."""
    accepted = round((length - 1) * steps)
    least = floor(accepted / steps)
    more = accepted - least * steps
    histogram = [0] * (max(DRAFT_LENGTH, least + 1) + 1)
    histogram[least], histogram[least + 1] = steps - more, more
    return record(*histogram)


def geometric(rng: np.random.Generator, rate: float, steps: int = 60) -> AcceptanceRecord:
    """Steps that accept each next token with the same probability."""
    reached = np.array([1.0, rate, rate**2, rate**3, 0.0])
    return record(*(int(count) for count in rng.multinomial(steps, reached[:-1] - reached[1:])))


def redrawn(
    rng: np.random.Generator, prompts: int, *, drop: float = 0.0, steps: int = 60, unchanged: float = 0.0
) -> tuple[list[AcceptanceRecord], list[AcceptanceRecord]]:
    """Prompts of about 2.3 tokens per step, decoded twice; ``unchanged`` is the share of equal ones."""
    rates = rng.beta(12, 8, size=prompts)
    before = [geometric(rng, rate, steps) for rate in rates]
    lengths = (1 + rates + rates**2 + rates**3) * (1 - drop)
    grid = np.linspace(0, 1, 2001)
    lower = np.interp(lengths, 1 + grid + grid**2 + grid**3, grid)
    after = [geometric(rng, rate, steps) for rate in lower]
    same = rng.random(prompts) < unchanged
    return before, [b if keep else a for b, a, keep in zip(before, after, same, strict=True)]


def counts(prompt: Prompt) -> StepCounts | None:
    """What the gate knows of it."""
    if prompt is None:
        return None
    return StepCounts.of([even(prompt) if isinstance(prompt, float) else prompt], undrafted=False)


def counts_of(prompts: Iterable[Prompt]) -> list[StepCounts]:
    """The same of several that all have steps."""
    return [count for prompt in prompts if (count := counts(prompt)) is not None]


def pairing(categories: Mapping[str, tuple[Iterable[Prompt], Iterable[Prompt]]]) -> Pairing:
    """``{category: (baseline prompts, candidate prompts)}``"""
    pairs = [
        PromptPair(f"{category}-{number:02}", category, counts(before), counts(after))
        for category, (baseline, candidate) in categories.items()
        for number, (before, after) in enumerate(zip(baseline, candidate, strict=True))
    ]
    return Pairing(tuple(pairs), draft_length=DRAFT_LENGTH, update_hint="Run again with --speedbench-update.")


def one_category(baseline: Sequence[Prompt], candidate: Sequence[Prompt]) -> Pairing:
    return pairing({"qa": (baseline, candidate)})


def scaled(lengths: Sequence[float], by: float) -> list[float]:
    """Lengths times a ratio, except that no step makes less than one token."""
    return [max(1.0, length * by) for length in lengths]


def asked(category: str, number: int, decoded: AcceptanceRecord | None, *, prompt: str = "p") -> Conversation:
    """A prompt with that record; its output is always the same."""
    own = replace(turn([1], prompt_sha256=prompt), acceptance=decoded)
    return conversation(f"{category}-{number:02}", category, own)


def run_of(categories: Mapping[str, Iterable[AcceptanceRecord | None]]) -> Run:
    """One measurement."""
    return run([asked(name, i, decoded) for name, records in categories.items() for i, decoded in enumerate(records)])
