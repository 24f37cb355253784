"""What the gate needs to know of one prompt on one side: means over its runs, and how far its steps scatter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isclose
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.acceptance import AcceptanceRecord


@dataclass(frozen=True, slots=True)
class StepCounts:
    """One prompt's steps, averaged over the runs that measured it. A step makes as many tokens as it accepted and one.

    Attributes:
        runs: how many runs.
        length: tokens per step, the mean over runs of each run's own.
        steps: steps of a run.
        tokens: tokens of all steps of a run.
        survivors: ``survivors[k]`` is the number of steps of a run that accepted at least k tokens, k = 0 … K.
        tried: ``tried[k - 1]`` is the number of steps of a run that tried a k-th token, having accepted those before;
            none where that is not known.
        squares: Σ over runs of Σ (tokens of a step − the run's mean)².
        freedom: Σ over runs of steps − 1: ``squares / freedom`` estimates the variance of one step's tokens.
        inverse_steps: mean over runs of 1 / steps: a run's length has the variance of one step's tokens times this.
    """

    runs: int
    length: float
    steps: float
    tokens: float
    survivors: tuple[float, ...]
    squares: float
    freedom: int
    inverse_steps: float
    tried: tuple[float, ...] = ()

    @classmethod
    def of(cls, records: Sequence[AcceptanceRecord], *, undrafted: bool) -> StepCounts | None:
        """Of one prompt's records, one per run; ``None`` without any step in one of them.

        With ``undrafted``, steps without a draft count as steps that accepted nothing.
        """
        counts = cls.of_histograms([_histogram(record, undrafted=undrafted) for record in records])
        tried = [known for record in records if (known := record.tried) is not None]
        if counts is None or len(tried) < len(records):
            return counts
        places = range(max(map(len, tried)))
        of_a_run = (sum(known[place] for known in tried if place < len(known)) / len(tried) for place in places)
        return replace(counts, tried=tuple(of_a_run))

    @classmethod
    def of_histograms(cls, histograms: Sequence[Sequence[int]]) -> StepCounts | None:
        """Of how many steps made j + 1 tokens, j = 0 …, one histogram per run; ``None`` without any step in one."""
        if not histograms or not all(sum(histogram) for histogram in histograms):
            return None
        runs = len(histograms)
        steps = [sum(histogram) for histogram in histograms]
        tokens = [sum((j + 1) * count for j, count in enumerate(histogram)) for histogram in histograms]
        squares = [
            sum((j + 1) ** 2 * count for j, count in enumerate(histogram)) - total**2 / of
            for histogram, total, of in zip(histograms, tokens, steps, strict=True)
        ]
        bins = max(len(histogram) for histogram in histograms)
        return cls(
            runs=runs,
            length=sum(total / of for total, of in zip(tokens, steps, strict=True)) / runs,
            steps=sum(steps) / runs,
            tokens=sum(tokens) / runs,
            survivors=tuple(sum(sum(histogram[k:]) for histogram in histograms) / runs for k in range(bins)),
            squares=sum(squares),
            freedom=sum(steps) - runs,
            inverse_steps=sum(1 / of for of in steps) / runs,
        )

    def same_as(self, other: StepCounts) -> bool:
        """Whether all counts of a run are the same, however many runs they are the mean of."""
        if len(self.survivors) != len(other.survivors):
            return False
        own, others = (self.length, *self.survivors), (other.length, *other.survivors)
        return all(isclose(one, another, rel_tol=1e-9) for one, another in zip(own, others, strict=True))


def _histogram(record: AcceptanceRecord, *, undrafted: bool) -> tuple[int, ...]:
    if not undrafted or not record.undrafted_steps:
        return record.histogram
    return (record.histogram[0] + record.undrafted_steps, *record.histogram[1:])
