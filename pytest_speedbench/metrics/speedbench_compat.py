"""Figures as SPEED-Bench's own tool counts them, to compare with published tables. Gate on ours, not on these.

Facts about that tool (specdec_bench), as read in its source, and how ours differ:

- It counts *emissions*: every chunk that the engine's stream hands over is a step of as many tokens as it holds. The
  prefill's emission is therefore a step of length 1 in every turn, a step without a draft is one too, and the last step
  is as short as the end of sequence or the output limit made it. Emissions merged on their way count as one long step.
- A request is a conversation: the chunks of all its turns are pooled, and its length is tokens / chunks.
- A category's figure is the mean over its requests; the overall figure is the mean over all requests. With equally many
  requests per category, as in the qualitative split, that is also the mean over categories.
- Its conditional rate at length k is P(length ≥ k | length ≥ the next shorter length *that occurred*); it lists no
  length that never occurred. Ours lists every length, and agrees at each one whose predecessor occurred.
- Its joint rate at k is the running product of the conditional rates, which is P(length ≥ k).
- Its step times contain each request's time to first token as a first step; ours do not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.metrics.acceptance import conditional_rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_speedbench.measure.run import Conversation


@dataclass(frozen=True, slots=True)
class StepLengths:
    """How many steps had which length in tokens, the prefill's emission counted as a step.

    ``counts`` maps a length (at least 1) to its number of steps.
    """

    counts: Mapping[int, int]

    @property
    def steps(self) -> int:
        """All steps, the prefills' included."""
        return sum(self.counts.values())

    @property
    def tokens(self) -> int:
        """Tokens in all steps."""
        return sum(length * steps for length, steps in self.counts.items())

    @property
    def pooled_length(self) -> float | None:
        """Tokens per step; ``None`` without steps."""
        return self.tokens / self.steps if self.steps else None

    @property
    def conditional_rates(self) -> dict[int, float | None]:
        """Per length k from 1 to the longest: P(length ≥ k | length ≥ k − 1). The first is always 1."""
        rates = conditional_rates([0, *(self.counts.get(k, 0) for k in range(1, max(self.counts, default=0) + 1))])
        return dict(enumerate(rates, start=1))

    @property
    def joint_rates(self) -> dict[int, float]:
        """Per length k from 1 to the longest: P(length ≥ k)."""
        lengths = range(1, max(self.counts, default=0) + 1)
        return {k: sum(n for length, n in self.counts.items() if length >= k) / self.steps for k in lengths}

    def without_prefills(self, prefills: int) -> tuple[int, ...]:
        """The acceptance histogram these counts leave when ``prefills`` steps of length 1 are taken out.

        Raises:
            ValueError: fewer steps of length 1 than prefills.
        """
        if self.counts.get(1, 0) < prefills:
            raise ValueError(f"{prefills} prefills cannot be among {self.counts.get(1, 0)} steps of length 1")
        longest = max(self.counts, default=1)
        return tuple(self.counts.get(k, 0) - (prefills if k == 1 else 0) for k in range(1, longest + 1))


@dataclass(frozen=True, slots=True)
class SpeedBenchFigures:
    """What SPEED-Bench's tables print.

    Attributes:
        step_lengths: the histogram, over all requests.
        category_al: per category, the mean over its requests of tokens per step.
        overall_al: the mean over all requests.
        missing: conversations without the data these figures need; they enter none of them.
        source: ``STREAM`` when counted from emissions; otherwise the weakest source among the records.
    """

    step_lengths: StepLengths
    category_al: Mapping[str, float]
    overall_al: float | None
    missing: int
    source: AcceptanceSource | None


def from_records(conversations: Iterable[Conversation]) -> SpeedBenchFigures:
    """From the engine's records: free of merged emissions, but the last step keeps the tokens that were discarded."""
    rows = list(conversations)
    counted = [
        (c.category, _record_lengths(record, record.undrafted_steps + len(c.turns)))
        for c in rows
        if (record := c.acceptance) is not None and record.undrafted_steps is not None
    ]
    order = list(AcceptanceSource)
    sources = [record.source for c in rows if (record := c.acceptance) is not None]
    return _figures(counted, len(rows), max(sources, key=order.index, default=None))


def from_emissions(conversations: Iterable[Conversation]) -> SpeedBenchFigures:
    """From the emissions, exactly as the tool does; merged emissions inflate it as they do there."""
    rows = list(conversations)
    counted = [
        (c.category, Counter(tokens for turn in c.turns for _, tokens in turn.emissions if tokens > 0)) for c in rows
    ]
    return _figures([row for row in counted if row[1]], len(rows), AcceptanceSource.STREAM if rows else None)


def _record_lengths(record: AcceptanceRecord, single_tokens: int) -> Counter[int]:
    """``single_tokens``: prefills and undrafted steps, which emit one token each."""
    lengths = Counter({accepted + 1: steps for accepted, steps in enumerate(record.histogram) if steps})
    lengths[1] += single_tokens
    return lengths


def _figures(
    counted: list[tuple[str, Counter[int]]], conversations: int, source: AcceptanceSource | None
) -> SpeedBenchFigures:
    total: Counter[int] = Counter()
    by_category: dict[str, list[float]] = {}
    for category, lengths in counted:
        total.update(lengths)
        length = StepLengths(lengths).pooled_length
        if length is not None:
            by_category.setdefault(category, []).append(length)
    every = [length for category in by_category.values() for length in category]
    return SpeedBenchFigures(
        step_lengths=StepLengths(dict(sorted(total.items()))),
        category_al={category: fmean(by_category[category]) for category in sorted(by_category)},
        overall_al=fmean(every) if every else None,
        missing=conversations - len(counted),
        source=source,
    )
