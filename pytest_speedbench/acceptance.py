"""The one acceptance record that every engine hands over and every metric reads.

A *verify step* is one forward pass of the target over a draft. It accepts a prefix of the draft and adds one token of
the target's own (the bonus token). The prefill, which drafts nothing and emits the first token, is not a verify step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class AcceptanceSource(str, Enum):
    """Where a record comes from, best first; shown wherever its figures are shown."""

    ENGINE = "engine"
    """The engine's own count, per request."""
    REPLAY = "replay"
    """Computed on stored outputs, per request and without decoding: what the engine would count."""
    COUNTERS = "counters"
    """The engine's counters before and after: no per-request figures."""
    STREAM = "stream"
    """Inferred from how many tokens arrived together: inflated when emissions were merged on their way."""


@dataclass(frozen=True, slots=True)
class VerifyStep:
    """One decode step: ``proposed_tokens`` drafted, ``accepted_tokens`` of them accepted (0 ≤ accepted ≤ proposed)."""

    proposed_tokens: int
    accepted_tokens: int


@dataclass(frozen=True, slots=True)
class AcceptanceRecord:
    """Acceptance of one request (or a sum of several), checked for its own identities when made.

    Attributes:
        draft_length: K, the most tokens that one step may propose.
        histogram: K + 1 counts; ``histogram[j]`` is the number of verify steps that accepted exactly ``j`` tokens.
        proposed_tokens: D, draft tokens really proposed over all verify steps; ``None`` when the engine does not say.
        undrafted_steps: decode steps in which the drafter proposed nothing (n-gram drafters often do); they are not
            verify steps, so they count in tokens per decode step but not in the acceptance length. ``None`` when the
            engine does not say.
        discarded_tokens: tokens the last step had verified that were cut off by an end-of-sequence token or the output
            limit; ``None`` when the engine does not say.
        source: where the counts come from.
        tree_tokens: where a step drafts a tree, the most tokens that one tree holds, its root left out; ``None`` for a
            chain. The draft length is then the tree's depth, and a step accepts one path down the tree.
        reached: where steps proposed different numbers of tokens, K counts: ``reached[k - 1]`` is the number of verify
            steps that proposed a k-th token and accepted all before it, so that its acceptance was tried. ``None``
            where that is not known, and where every step proposed K tokens, of which it follows.

    Raises:
        ValueError: the counts contradict each other.
    """

    draft_length: int
    histogram: tuple[int, ...]
    proposed_tokens: int | None
    undrafted_steps: int | None = 0
    discarded_tokens: int | None = None
    source: AcceptanceSource = AcceptanceSource.ENGINE
    tree_tokens: int | None = None
    reached: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.draft_length < 1:
            raise ValueError(f"draft_length must be at least 1, got {self.draft_length}")
        if self.tree_tokens is not None and self.tree_tokens < self.draft_length:
            raise ValueError(f"a tree of {self.tree_tokens} tokens cannot be {self.draft_length} deep")
        if len(self.histogram) != self.draft_length + 1:
            raise ValueError(
                f"a draft length of {self.draft_length} needs {self.draft_length + 1} histogram bins, "
                f"got {len(self.histogram)}"
            )
        others = (self.proposed_tokens, self.undrafted_steps, self.discarded_tokens)
        counts = (*self.histogram, *(count for count in others if count is not None))
        if any(type(count) is not int for count in counts):
            raise ValueError(f"an acceptance record holds counts, and counts are integers, got {counts}")
        if min(counts) < 0:
            raise ValueError("an acceptance record holds counts, and counts are never negative")
        self._check_reached()
        if self.proposed_tokens is None:
            return
        most = self.tree_tokens or self.draft_length
        if not self.accepted_tokens <= self.proposed_tokens <= self.verify_steps * most:
            raise ValueError(
                f"{self.accepted_tokens} accepted of {self.proposed_tokens} proposed tokens cannot be "
                f"in {self.verify_steps} verify steps of at most {most}"
            )
        if self.proposed_tokens < self.verify_steps:
            raise ValueError(
                "a verify step proposes at least one token; a step that proposes none is an undrafted step"
            )

    def _check_reached(self) -> None:
        if self.reached is None:
            return
        survivors = self.survivors
        if len(self.reached) != self.draft_length or any(type(count) is not int for count in self.reached):
            raise ValueError(f"a draft length of {self.draft_length} needs as many steps reached, got {self.reached}")
        bounds = zip(survivors[1:], self.reached, survivors, strict=False)
        if self.reached[0] != survivors[0] or not all(least <= count <= most for least, count, most in bounds):
            raise ValueError(
                f"{self.reached} steps cannot have reached the positions of a draft where {survivors} accepted so many"
            )

    @property
    def survivors(self) -> tuple[int, ...]:
        """For k = 0 … K the verify steps that accepted at least k tokens."""
        return tuple(sum(self.histogram[k:]) for k in range(len(self.histogram)))

    @property
    def tried(self) -> tuple[int, ...] | None:
        """For k = 1 … K the verify steps in which the acceptance of a k-th token was tried; ``None`` if not known.

        Where proposals are not counted, or are nodes of trees, every step is taken to have proposed K.
        """
        if self.reached is not None:
            return self.reached
        varied = self.tree_tokens is None and self.proposed_tokens not in (None, self.verify_steps * self.draft_length)
        return None if varied else self.survivors[:-1]

    @classmethod
    def from_steps(
        cls,
        steps: Iterable[VerifyStep],
        *,
        draft_length: int,
        discarded_tokens: int | None = None,
        source: AcceptanceSource = AcceptanceSource.ENGINE,
    ) -> AcceptanceRecord:
        """Count a request's decode steps; steps that proposed nothing become ``undrafted_steps``."""
        histogram, reached = [0] * (draft_length + 1), [0] * draft_length
        proposed = undrafted = 0
        for step in steps:
            if not 0 <= step.accepted_tokens <= step.proposed_tokens <= draft_length:
                raise ValueError(f"impossible verify step {step} at a draft length of {draft_length}")
            if step.proposed_tokens == 0:
                undrafted += 1
                continue
            histogram[step.accepted_tokens] += 1
            proposed += step.proposed_tokens
            for place in range(min(step.accepted_tokens + 1, step.proposed_tokens)):
                reached[place] += 1
        varied = proposed < sum(histogram) * draft_length
        found = tuple(reached) if varied else None
        return cls(draft_length, tuple(histogram), proposed, undrafted, discarded_tokens, source, reached=found)

    @property
    def verify_steps(self) -> int:
        """S: steps in which the target verified a draft."""
        return sum(self.histogram)

    @property
    def accepted_tokens(self) -> int:
        """A: draft tokens accepted over all verify steps, discarded ones included."""
        return sum(accepted * steps for accepted, steps in enumerate(self.histogram))

    @property
    def al(self) -> float | None:
        """Acceptance length 1 + A / S, bonus token counted; ``None`` without any verify step."""
        return 1 + self.accepted_tokens / self.verify_steps if self.verify_steps else None

    @property
    def decode_steps(self) -> int | None:
        """Verify steps and undrafted steps together; ``None`` when the undrafted ones are unknown."""
        return None if self.undrafted_steps is None else self.verify_steps + self.undrafted_steps

    @property
    def decoded_tokens(self) -> int | None:
        """Tokens of all decode steps before anything was cut off: Σ (accepted + 1) plus one per undrafted step."""
        return None if self.decode_steps is None else self.accepted_tokens + self.decode_steps

    def expected_output_tokens(self) -> int | None:
        """Output tokens implied: the prefill's one and the decoded ones less the discarded; ``None`` if unknown."""
        if self.discarded_tokens is None or self.decoded_tokens is None:
            return None
        return 1 + self.decoded_tokens - self.discarded_tokens

    def contradiction(self, output_tokens: int, turns: int = 1) -> str:
        """Why these steps cannot have made the output of so many turns, in words; empty if they can.

        Every turn has one token of its prefill. Where it is not known how many tokens were cut off at the end, the
        steps made at least what was put out; where it is not known how many steps had no draft, nothing can be said.
        """
        if self.decoded_tokens is None:
            return ""
        made = turns + self.decoded_tokens - (self.discarded_tokens or 0)
        if output_tokens == made or (self.discarded_tokens is None and output_tokens < made):
            return ""
        return f"{output_tokens} output tokens are stated, but the steps of its {turns} turns make {made}"


@dataclass(frozen=True, slots=True)
class AcceptanceTotals:
    """Acceptance of a whole run by counters that know no draft positions: a length, but no rates.

    Attributes:
        verify_steps: S.
        accepted_tokens: A, discarded ones included.
        proposed_tokens: D; ``None`` when the engine does not count them.

    Raises:
        ValueError: the counts contradict each other.
    """

    verify_steps: int
    accepted_tokens: int
    proposed_tokens: int | None

    def __post_init__(self) -> None:
        if min(self.verify_steps, self.accepted_tokens, self.proposed_tokens or 0) < 0:
            raise ValueError("acceptance totals are counts, and counts are never negative")
        if self.proposed_tokens is not None and not (
            self.proposed_tokens >= max(self.accepted_tokens, self.verify_steps)
        ):
            raise ValueError(
                f"{self.accepted_tokens} accepted tokens in {self.verify_steps} verify steps cannot be of "
                f"{self.proposed_tokens} proposed ones"
            )
        if self.accepted_tokens and not self.verify_steps:
            raise ValueError(f"{self.accepted_tokens} tokens cannot be accepted without a verify step")

    @property
    def al(self) -> float | None:
        """Acceptance length 1 + A / S, bonus token counted; ``None`` without any verify step."""
        return 1 + self.accepted_tokens / self.verify_steps if self.verify_steps else None


Counted = AcceptanceRecord | AcceptanceTotals
"""What an engine's counters say of a whole run."""


def pool(records: Iterable[AcceptanceRecord]) -> AcceptanceRecord | None:
    """Sum the counts of several records; ``None`` for none at all.

    The draft length is the largest one, and so is the size of the trees if any step drafted one. ``proposed_tokens``,
    ``undrafted_steps`` and ``discarded_tokens`` are known only if every record knows them; the source is the weakest of
    the sources.

    Example: one record per turn becomes one per conversation.
    """
    rows = list(records)
    if not rows:
        return None
    draft_length = max(row.draft_length for row in rows)
    histogram = [0] * (draft_length + 1)
    for row in rows:
        for accepted, steps in enumerate(row.histogram):
            histogram[accepted] += steps
    order = list(AcceptanceSource)
    return AcceptanceRecord(
        draft_length=draft_length,
        histogram=tuple(histogram),
        proposed_tokens=_sum_of_all(row.proposed_tokens for row in rows),
        undrafted_steps=_sum_of_all(row.undrafted_steps for row in rows),
        discarded_tokens=_sum_of_all(row.discarded_tokens for row in rows),
        source=max((row.source for row in rows), key=order.index),
        tree_tokens=_largest_tree(rows, draft_length),
        reached=_reached_by_all(rows, draft_length),
    )


def _reached_by_all(rows: list[AcceptanceRecord], draft_length: int) -> tuple[int, ...] | None:
    """``None`` also where it follows from the sums, as it does if every record's does and all drafts are as long."""
    tried = [row.tried for row in rows]
    known = [counts for counts in tried if counts is not None]
    follows = all(row.reached is None and row.draft_length == draft_length for row in rows)
    if follows or len(known) < len(rows):
        return None
    padded = [(*counts, *[0] * (draft_length - len(counts))) for counts in known]
    return tuple(sum(counts) for counts in zip(*padded, strict=True))


def _largest_tree(rows: list[AcceptanceRecord], draft_length: int) -> int | None:
    trees = [row.tree_tokens for row in rows if row.tree_tokens is not None]
    return max(*trees, draft_length) if trees else None


def _sum_of_all(counts: Iterable[int | None]) -> int | None:
    rows = list(counts)
    known = [count for count in rows if count is not None]
    return sum(known) if len(known) == len(rows) else None
