"""Figures as SPEED-Bench's own tool counts them, to compare with published tables. Gate on ours, not on these.

Facts about that tool (specdec_bench), as read in its source, and how ours differ:

- It counts *emissions*: every chunk that the engine's stream hands over is a step of as many tokens as it holds. The
  prefill's emission is therefore a step of length 1 in every turn, a step without a draft is one too, and the last step
  is as short as the end of sequence or the output limit made it. Emissions merged on their way count as one long step.
- It takes the end-of-sequence token away before it counts, and with it a last chunk that held nothing else. So a turn
  of n tokens has (n - EOS) tokens in 1 + decode steps - (1 where the end of sequence came alone) chunks.
- A request is a conversation: the chunks of all its turns are pooled, and its length is tokens / chunks.
- A category's figure is the mean over its requests; the overall figure is the mean over all requests. With equally many
  requests per category, as in the qualitative split, that is also the mean over categories.
- Its conditional rate at length k is P(length ≥ k | length ≥ the next shorter length *that occurred*); it lists no
  length that never occurred. Ours lists every length, and agrees at each one whose predecessor occurred.
- Its joint rate at k is the running product of the conditional rates, which is P(length ≥ k).
- Its step times contain each request's time to first token as a first step; ours do not.

Later revisions of the tool leave a turn's first and last chunk out altogether; the published tables do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.metrics.acceptance import conditional_rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_speedbench.measure.run import Conversation, Turn


Cut = tuple[int, int]
"""A turn's last step: tokens it made, and how many of them the tool counts (without EOS; 0 for a step that is none)."""


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
    """From the engine's records: free of merged emissions.

    A conversation is missing where records do not say how many steps had no draft, or where emissions were merged so
    that nobody knows which of its steps the end cut.
    """
    rows = list(conversations)
    counted = [(c.category, Counter(lengths)) for c in rows if (lengths := conversation_lengths(c)) is not None]
    order = list(AcceptanceSource)
    sources = [record.source for c in rows if (record := c.acceptance) is not None]
    return _figures([row for row in counted if row[1]], len(rows), max(sources, key=order.index, default=None))


def from_emissions(conversations: Iterable[Conversation]) -> SpeedBenchFigures:
    """From the emissions, exactly as the tool does; merged emissions inflate it as they do there."""
    rows = list(conversations)
    counted = [(c.category, Counter(length for turn in c.turns for length in _emitted(turn))) for c in rows]
    return _figures([row for row in counted if row[1]], len(rows), AcceptanceSource.STREAM if rows else None)


def conversation_lengths(conversation: Conversation) -> Mapping[int, int] | None:
    """:func:`chunk_lengths` of a conversation; ``None`` where they do not follow from what it recorded."""
    record = conversation.acceptance
    return None if record is None else chunk_lengths(record, len(conversation.turns), last_steps(conversation))


def chunk_lengths(record: AcceptanceRecord, turns: int, cuts: Sequence[Cut] | None) -> Mapping[int, int] | None:
    """How many chunks of which length the tool counts of a conversation.

    Args:
        record: of all its turns.
        turns: how many.
        cuts: of every turn whose last step the tool does not count as it was made; ``None`` if that is not known.

    Returns:
        Lengths and their counts, zeros left out, or ``None`` where they do not follow.
    """
    if record.undrafted_steps is None or cuts is None:
        return None
    lengths = Counter({accepted + 1: steps for accepted, steps in enumerate(record.histogram)})
    lengths[1] += record.undrafted_steps + turns
    for made, counted in cuts:
        lengths[made] -= 1
        lengths[counted] += 1
    if min(lengths.values()) < 0:
        return None
    return {length: count for length, count in sorted(lengths.items()) if length and count}


def last_steps(conversation: Conversation) -> tuple[Cut, ...] | None:
    """The turns whose last step the tool does not count as it was made; ``None`` if one's is not known.

    A step is cut by the output limit or by an end-of-sequence token, whose own chunk it may be. Where a turn's
    emissions are its steps, the last one is seen; otherwise only what fits the record in one way is known.
    """
    found = []
    for turn in conversation.turns:
        cut = _last_step(turn)
        if cut is None:
            return None
        if cut[0] != cut[1]:
            found.append(cut)
    return tuple(found)


def _last_step(turn: Turn) -> Cut | None:
    record, ended = turn.acceptance, turn.finish_reason == "stop"
    if record is None or record.decode_steps is None or record.decoded_tokens is None:
        return None
    if not record.decode_steps:
        return 1, 1 - ended
    discarded = 1 + record.decoded_tokens - len(turn.output_ids)
    emitted = [tokens for _, tokens in turn.emissions if tokens]
    if len(emitted) == 1 + record.decode_steps and emitted[0] == 1:
        return emitted[-1] + discarded, emitted[-1] - ended
    if not discarded and not ended:
        return 1, 1  # whichever it is, it was not cut
    made = {accepted + 1 for accepted, steps in enumerate(record.histogram) if steps}
    possible = sorted((made | {1} if record.undrafted_steps else made) - set(range(discarded + 1)))
    return (possible[0], possible[0] - discarded - ended) if len(possible) == 1 else None


def _emitted(turn: Turn) -> list[int]:
    """Tokens of each chunk, without the end-of-sequence token and without a chunk that held nothing else."""
    lengths = [tokens for _, tokens in turn.emissions if tokens > 0]
    if turn.finish_reason == "stop" and lengths:
        lengths[-1] -= 1
    return [length for length in lengths if length]


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
