"""The gated figures as sums over prompts: acceptance lengths and conditional acceptance rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_speedbench.gate.effects import LogRatio, Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_speedbench.gate.counts import StepCounts

    Floats = NDArray[np.float64]

AL_MACRO = "al_macro"
AL_POOLED = "al_pooled"
LENGTHS = (AL_MACRO, AL_POOLED)

_CATEGORY_STEPS = 10
"""A prompt's own variance of a step's tokens is drawn to its category's as if so many more steps had shown that."""

_HALF = 0.5
"""Where nothing at all was accepted at a position, half an acceptance counts, spread over the steps that got there."""


def rate_metric(position: int) -> str:
    """The name of the conditional acceptance rate at a draft position, counted from 1."""
    return f"ar{position}"


def sums(metric: str, prompts: Sequence[StepCounts]) -> Sums:
    """A figure's two sums over prompts.

    Raises:
        ValueError: no such metric.
    """
    runs = np.array([prompt.runs for prompt in prompts], np.float64)
    if metric.startswith("ar"):
        position = int(metric[2:])
        if not all(prompt.tried for prompt in prompts):
            raise ValueError("drafts were of different lengths, and nobody says which tokens were tried")
        reached = np.array([p.tried[position - 1] if position <= len(p.tried) else 0.0 for p in prompts])
        accepted = np.array([_survivors(p, position) for p in prompts])
        if reached.sum() and not accepted.sum():
            accepted = _HALF * reached / reached.sum()  # a rate of 0 has no logarithm
        rate = accepted.sum() / reached.sum() if reached.sum() else 0.0
        return Sums(accepted, reached, reached * rate * (1 - rate) / runs)
    steps = np.array([prompt.steps for prompt in prompts])
    one_step = _step_variance(prompts)
    if metric == AL_MACRO:
        inverse_steps = np.array([prompt.inverse_steps for prompt in prompts])
        lengths = np.array([prompt.length for prompt in prompts])
        return Sums(lengths, np.ones_like(lengths), one_step * inverse_steps / runs)
    if metric == AL_POOLED:
        return Sums(np.array([prompt.tokens for prompt in prompts]), steps, one_step * steps / runs)
    raise ValueError(f"no figure is named {metric!r}")


def paired_change(metric: str, before: Sequence[StepCounts], after: Sequence[StepCounts]) -> LogRatio:
    """The change of a figure over the same prompts, in the same order.

    Raises:
        ValueError: no prompts, no such metric, or a figure that is not above 0.
    """
    changed = np.array([not one.same_as(other) for one, other in zip(before, after, strict=True)], np.bool_)
    return LogRatio.paired(sums(metric, before), sums(metric, after), changed)


def unpaired_change(metric: str, before: Sequence[StepCounts], after: Sequence[StepCounts]) -> LogRatio:
    """The change of a figure between different prompts.

    Raises:
        ValueError: no prompts, no such metric, or a figure that is not above 0.
    """
    return LogRatio.unpaired(sums(metric, before), sums(metric, after))


def _step_variance(prompts: Sequence[StepCounts]) -> Floats:
    """The variance of one step's tokens, by prompt."""
    squares = np.array([prompt.squares for prompt in prompts])
    freedom = np.array([prompt.freedom for prompt in prompts], np.float64)
    of_category = squares.sum() / max(1.0, freedom.sum())
    variance: Floats = (squares + _CATEGORY_STEPS * of_category) / (freedom + _CATEGORY_STEPS)
    return variance


def _survivors(prompt: StepCounts, accepted: int) -> float:
    return prompt.survivors[accepted] if accepted < len(prompt.survivors) else 0.0
