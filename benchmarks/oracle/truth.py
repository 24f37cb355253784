"""What acceptance the oracle must give, in closed form and exactly for outputs of a given length."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.signal import convolve2d

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from oracle.counts import PromptId

    Floats = NDArray[np.float64]

OVERALL = "overall"
Figures = dict[tuple[str, str], float]
"""By row (a category, or ``overall``) and metric (``al_macro``, ``al_pooled``, ``ar1``, …)."""


def acceptance_length(correct: float, draft_length: int) -> float:
    """Mean tokens per verify step, Σ_{k=0..K} q^k, if each drafted token is right with probability q, independently."""
    return float(sum(correct**k for k in range(draft_length + 1)))


def correct_probability(al: float, draft_length: int) -> float:
    """The q that gives this acceptance length, 1 ≤ al ≤ K + 1."""
    return float(brentq(lambda q: acceptance_length(q, draft_length) - al, 0.0, 1.0, xtol=1e-12))


def true_changes(
    prompts: Sequence[PromptId],
    turn_tokens: Sequence[Sequence[int]],
    before: Mapping[str, float],
    after: Mapping[str, float],
    draft_length: int,
) -> Figures:
    """The relative change of every figure between two oracles, exact for outputs of these lengths.

    Args:
        prompts: the conversations.
        turn_tokens: output tokens of every turn of each, the prefill's token included.
        before: q by category.
        after: q by category.
        draft_length: K.
    """
    old, new = (_expected_figures(prompts, turn_tokens, correct, draft_length) for correct in (before, after))
    return {name: new[name] / old[name] - 1 for name in old}


def expected_record(turn_tokens: Sequence[int], correct: float, draft_length: int) -> tuple[float, float] | None:
    """The expected acceptance length of one conversation and its expected number of steps; ``None`` without any step.

    The length is a little above the closed form, because a request whose steps accept much needs fewer of them: the
    mean of tokens over steps is not the ratio of their means. Summed exactly over all ways to decode the tokens, the
    last step's overshoot counted as engines count it.
    """
    joint = np.ones((1, 1))
    for tokens in turn_tokens:
        joint = convolve2d(joint, _steps_and_overshoot(tokens - 1, correct, draft_length))
    decoded = sum(tokens - 1 for tokens in turn_tokens)
    if decoded == 0:
        return None
    steps, overshoot = np.indices(joint.shape)
    length = (joint[1:] * (decoded + overshoot[1:]) / steps[1:]).sum()
    return float(length), float((joint * steps).sum())


def _expected_figures(
    prompts: Sequence[PromptId],
    turn_tokens: Sequence[Sequence[int]],
    correct: Mapping[str, float],
    draft_length: int,
) -> Figures:
    lengths: dict[str, list[float]] = defaultdict(list)
    reached: dict[str, Floats] = defaultdict(lambda: np.zeros(draft_length + 1))
    for prompt, tokens in zip(prompts, turn_tokens, strict=True):
        q = correct[prompt.category]
        expected = expected_record(tokens, q, draft_length)
        if expected is None:
            continue
        for row in (prompt.category, OVERALL):
            lengths[row].append(expected[0])
            reached[row] += expected[1] * q ** np.arange(draft_length + 1)
    figures = {(row, "al_macro"): fmean(values) for row, values in lengths.items()}
    for row, survivors in reached.items():
        figures[row, "al_pooled"] = float(survivors.sum() / survivors[0])
        for position in range(1, draft_length + 1):
            figures[row, f"ar{position}"] = float(survivors[position] / survivors[position - 1])
    return figures


@cache
def _steps_and_overshoot(tokens: int, correct: float, draft_length: int) -> Floats:
    """Probabilities of (steps, overshoot) when steps go on until that many tokens are decoded."""
    emitted = [(1 - correct) * correct**j for j in range(draft_length)] + [correct**draft_length]
    done = np.zeros((tokens + 1, draft_length + 1))
    reached = np.zeros(tokens + draft_length + 1)
    reached[0] = 1.0
    for step in range(tokens + 1):
        done[step] = reached[tokens:]
        alive = reached[:tokens]
        reached = np.zeros_like(reached)
        for accepted, probability in enumerate(emitted):
            reached[accepted + 1 : accepted + 1 + tokens] += probability * alive
    return done
