"""Acceptance figures: what the acceptance records of one or more conversations mean.

Notation: over a set of conversations, S is the number of verify steps, A the accepted and D the proposed draft tokens,
``h[j]`` the verify steps that accepted exactly j tokens. The prefill is no verify step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, Counted, pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_speedbench.measure.run import Conversation


@dataclass(frozen=True, slots=True)
class AcceptanceFigures:
    """Acceptance over a set of conversations. A figure that nothing supports is ``None``, never 0 or 1.

    Attributes:
        conversations: how many there are, with or without a record.
        missing: how many of them have no record; they enter no figure.
        without_verify_steps: how many have a record in which nothing was ever drafted; they have no acceptance length
            and enter only the counts and ``tokens_per_decode_step``.
        al_macro: mean over conversations of 1 + A / S, a conversation's turns pooled. Tokens, bonus token included.
        al_pooled: 1 + ΣA / ΣS over all verify steps: weighted by steps, so long outputs dominate.
        joint_rates: P(accepted ≥ k) for k = 1 … K, over all verify steps.
        conditional_rates: P(accepted ≥ k | accepted ≥ k − 1, a k-th token proposed) for k = 1 … K; ``None`` where no
            step got as far, and where drafts were of different lengths and nobody says which.
        draft_acceptance_rate: ΣA / ΣD, with D as really proposed.
        tokens_per_decode_step: (A + S + U) / (S + U), where U counts the steps without a draft: the figure that
            compares drafters which sometimes propose nothing with drafters which always do. Without such steps it is
            ``al_pooled``.
        tokens_per_decode_step_macro: the same per conversation, then the mean over conversations.
        emitted_tokens_per_verify_step: (A + S − discarded) / S: what reached the user; ``None`` unless every record
            knows what was cut off.
        histogram: ``h[0]`` … ``h[K]``; empty without records.
        verify_steps: S.
        proposed_tokens: D.
        accepted_tokens: A, discarded ones included.
        undrafted_steps: U; ``None`` unless every record knows it.
        discarded_tokens: verified tokens cut off by an end of sequence or the output limit; ``None`` if unknown.
        source: the weakest source among the records.
    """

    conversations: int
    missing: int
    without_verify_steps: int
    al_macro: float | None
    al_pooled: float | None
    joint_rates: tuple[float | None, ...]
    conditional_rates: tuple[float | None, ...]
    draft_acceptance_rate: float | None
    tokens_per_decode_step: float | None
    tokens_per_decode_step_macro: float | None
    emitted_tokens_per_verify_step: float | None
    histogram: tuple[int, ...]
    verify_steps: int
    proposed_tokens: int | None
    accepted_tokens: int
    undrafted_steps: int | None
    discarded_tokens: int | None
    source: AcceptanceSource | None

    @classmethod
    def of(cls, records: Iterable[AcceptanceRecord | None]) -> AcceptanceFigures:
        """Figures of the given records, one per conversation, ``None`` for a conversation without one."""
        rows = list(records)
        known = [row for row in rows if row is not None]
        lengths = [al for row in known if (al := row.al) is not None]
        per_step = [value for row in known if (value := tokens_per_decode_step(row)) is not None]
        total = pool(known)
        return cls(
            conversations=len(rows),
            missing=len(rows) - len(known),
            without_verify_steps=len(known) - len(lengths),
            al_macro=fmean(lengths) if lengths else None,
            al_pooled=total.al if total else None,
            joint_rates=joint_rates(total.histogram) if total else (),
            conditional_rates=rates_where_tried(total) if total else (),
            draft_acceptance_rate=_draft_acceptance_rate(total) if total else None,
            tokens_per_decode_step=tokens_per_decode_step(total) if total else None,
            tokens_per_decode_step_macro=fmean(per_step) if per_step else None,
            emitted_tokens_per_verify_step=_emitted_per_verify_step(total) if total else None,
            histogram=total.histogram if total else (),
            verify_steps=total.verify_steps if total else 0,
            proposed_tokens=total.proposed_tokens if total else 0,
            accepted_tokens=total.accepted_tokens if total else 0,
            undrafted_steps=total.undrafted_steps if total else 0,
            discarded_tokens=total.discarded_tokens if total else None,
            source=total.source if total else None,
        )


@dataclass(frozen=True, slots=True)
class AcceptanceSummary:
    """Acceptance of a measurement: all conversations together, and each category by itself.

    Attributes:
        overall: over all conversations; its ``al_macro`` weighs every conversation alike.
        by_category: per category, in alphabetical order.
        al_category_macro: mean over categories of their ``al_macro``, every category alike, as the overall figure of a
            benchmark table is; ``None`` unless every category has one. It equals ``overall.al_macro`` only if all
            categories have equally many conversations.
    """

    overall: AcceptanceFigures
    by_category: Mapping[str, AcceptanceFigures]
    al_category_macro: float | None


def summarize_acceptance(conversations: Iterable[Conversation], counters: Counted | None = None) -> AcceptanceSummary:
    """Acceptance figures of conversations, overall and per category.

    ``counters``, the engine's own count of the whole run, stands in for the overall figures when no conversation has a
    record: pooled figures only, since it knows no conversations.
    """
    summary = summarize_records((c.category, c.acceptance) for c in conversations)
    overall = summary.overall
    if counters is None or overall.missing < overall.conversations:
        return summary
    return replace(summary, overall=counted_figures([counters], overall))


def counted_figures(counters: Sequence[Counted], of: AcceptanceFigures) -> AcceptanceFigures:
    """Pooled figures from the engine's counters of one or more runs, in place of requests that have no records.

    Counters know no conversations, so nothing that is a mean over them is known; those that tell no positions apart
    give no rates either.

    Args:
        counters: one for each run.
        of: the figures of the runs' requests, for how many they are.
    """
    records = [row for row in counters if isinstance(row, AcceptanceRecord)]
    figures = AcceptanceFigures.of(records)
    if len(records) < len(counters):
        figures = _totals(counters)
    return replace(
        figures,
        conversations=of.conversations,
        missing=of.missing,
        al_macro=None,
        tokens_per_decode_step_macro=None,
    )


def _totals(counters: Sequence[Counted]) -> AcceptanceFigures:
    steps, accepted = sum(row.verify_steps for row in counters), sum(row.accepted_tokens for row in counters)
    counted = [row.proposed_tokens for row in counters if row.proposed_tokens is not None]
    proposed = sum(counted) if len(counted) == len(counters) else None
    return replace(
        AcceptanceFigures.of([]),
        al_pooled=_ratio(accepted + steps, steps),
        draft_acceptance_rate=None if proposed is None else _ratio(accepted, proposed),
        verify_steps=steps,
        accepted_tokens=accepted,
        proposed_tokens=proposed,
        undrafted_steps=None,
        source=AcceptanceSource.COUNTERS,
    )


def summarize_records(rows: Iterable[tuple[str, AcceptanceRecord | None]]) -> AcceptanceSummary:
    """The same from ``(category, record)`` per conversation."""
    groups: dict[str, list[AcceptanceRecord | None]] = {}
    for category, record in rows:
        groups.setdefault(category, []).append(record)
    by_category = {category: AcceptanceFigures.of(groups[category]) for category in sorted(groups)}
    return AcceptanceSummary(
        overall=AcceptanceFigures.of(record for group in groups.values() for record in group),
        by_category=by_category,
        al_category_macro=mean_of_all(figures.al_macro for figures in by_category.values()),
    )


def joint_rates(histogram: Sequence[int]) -> tuple[float | None, ...]:
    """P(accepted ≥ k) for k = 1 … K from ``histogram[j]`` = steps that accepted exactly j; all ``None`` without steps.

    Their sum plus one is the pooled acceptance length.
    """
    steps = sum(histogram)
    return tuple(_ratio(count, steps) for count in _survivors(histogram)[1:])


def conditional_rates(histogram: Sequence[int]) -> tuple[float | None, ...]:
    """P(accepted ≥ k | accepted ≥ k − 1) for k = 1 … K; ``None`` where no step accepted k − 1 tokens.

    Taken from the survival function, so a count of exactly k that never occurred gives a rate of 1 for k + 1 and shifts
    nothing.
    """
    survivors = _survivors(histogram)
    return tuple(_ratio(survivors[k], survivors[k - 1]) for k in range(1, len(survivors)))


def rates_where_tried(record: AcceptanceRecord) -> tuple[float | None, ...]:
    """:func:`conditional_rates` of the steps that proposed a token there; ``None`` where these are not known."""
    tried, survivors = record.tried, record.survivors
    if tried is None:
        return (None,) * record.draft_length
    return tuple(_ratio(accepted, steps) for accepted, steps in zip(survivors[1:], tried, strict=True))


def tokens_per_decode_step(record: AcceptanceRecord) -> float | None:
    """(A + S + U) / (S + U): tokens per decode step, undrafted steps included.

    ``None`` without decode steps, or when the engine does not say how many were undrafted.
    """
    if record.decoded_tokens is None or record.decode_steps is None:
        return None
    return _ratio(record.decoded_tokens, record.decode_steps)


def mean_of_all(values: Iterable[float | None]) -> float | None:
    """The mean, or ``None`` if there is no value or any is absent: a part must not pass for the whole."""
    rows = list(values)
    known = [value for value in rows if value is not None]
    return fmean(known) if known and len(known) == len(rows) else None


def _draft_acceptance_rate(record: AcceptanceRecord) -> float | None:
    return None if record.proposed_tokens is None else _ratio(record.accepted_tokens, record.proposed_tokens)


def _emitted_per_verify_step(record: AcceptanceRecord) -> float | None:
    if record.discarded_tokens is None:
        return None
    return _ratio(record.accepted_tokens + record.verify_steps - record.discarded_tokens, record.verify_steps)


def _survivors(histogram: Sequence[int]) -> list[int]:
    """For each k, the steps that accepted at least k tokens."""
    return [sum(histogram[k:]) for k in range(len(histogram))]


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None
