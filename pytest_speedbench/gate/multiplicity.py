"""Many comparisons at one error level: Holm's step-down procedure.

Every hypothesis of a run is in one family: each figure of each category, and of all prompts together. Holm needs no
assumption on how they depend on each other, and rejects all that Bonferroni rejects and more. What correlation between
figures could still give is small where it matters, at error levels of a few in a hundred thousand: see
``benchmarks/gate_simulation.py``, which has a step-down maximum test over resampled conversations beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: reject where at most the family-wise error."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def holm_levels(p_values: Sequence[float], family_error: float) -> list[float]:
    """The level at which Holm's procedure tests each hypothesis, in the order given.

    The i-th smallest p-value (from 0) is tested at family_error / (m − i); all that are not rejected, at the level
    where the procedure stopped. A p-value is at or below its level exactly when Holm rejects it.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    levels = [family_error] * len(p_values)
    stopped: float | None = None
    for rank, index in enumerate(order):
        level = family_error / (len(p_values) - rank) if stopped is None else stopped
        if stopped is None and p_values[index] > level:
            stopped = level
        levels[index] = level
    return levels
