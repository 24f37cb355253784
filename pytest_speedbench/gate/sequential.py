"""Deciding before all prompts were asked, without spending more error than is stated.

Prompts are asked in a seeded random order in which every category advances alike. All categories are looked at together
when 5, 6, 8, 10, 13, … prompts of each are finished, each look about 1.3 times the one before, and once all are; a look
sees exactly so many, so that decisions do not depend on concurrency or timing. Smaller categories are looked at when
the same share of them is there, from 5 prompts on. Of a row's error, half is kept for the last look and the rest shared
out evenly among the early ones, so that a regression counts as found at a look when the p-value there, divided by the
look's share, is at most the row's level. This is Bonferroni over looks: it needs no model of how they depend on each
other, the sequential p-value of a figure is the smallest of its looks', and Holm's procedure over those holds its error
at every moment, because they only fall while the run goes on.

A category is decided when one of its figures regressed, or when for all of them a drop beyond the tolerance is
excluded, prompts not asked yet included. All prompts together are looked at too, until a category is stopped: from then
on the categories no longer have their shares in them.

Why not an anytime-valid confidence sequence: it pays for looks beyond the last prompt, which never come. Measured in
``benchmarks/gate_simulation.py``, which has one beside this.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from pytest_speedbench.gate.compare import Look, Outcome, judged, look_at, metrics_of
from pytest_speedbench.gate.figures import LENGTHS, rate_metric
from pytest_speedbench.gate.multiplicity import holm_levels
from pytest_speedbench.gate.noise import OVERALL, run_noise
from pytest_speedbench.gate.pairing import pair_sides, pair_up, side_of, sides
from pytest_speedbench.gate.rows import make_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pytest_speedbench.baselines.schema import Baseline
    from pytest_speedbench.gate.pairing import Pairing, Side
    from pytest_speedbench.gate.rows import Row
    from pytest_speedbench.gate.verdict import GatePolicy, GateResult
    from pytest_speedbench.measure.run import Conversation, Run

FIRST_LOOK = 5
NEXT_LOOK = 1.3
LAST_SHARE = 0.5


def looks_at(prompts: int) -> tuple[int, ...]:
    """After how many prompts of the largest category all are looked at; the last look is at all of them."""
    looks: list[int] = []
    look = FIRST_LOOK
    while look < prompts:
        looks.append(look)
        look = max(round(look * NEXT_LOOK), look + 1)
    return (*looks, prompts)


def share_of(look: int, prompts: int) -> float:
    """The part of a row's error that a look may use; over all looks they add up to 1."""
    early = len(looks_at(prompts)) - 1
    if not early:
        return 1.0
    return LAST_SHARE if look == prompts else (1 - LAST_SHARE) / early


class SequentialGate:
    """A comparison while the candidate is being measured: a :class:`~pytest_speedbench.measure.driver.StopRule`.

    Args:
        reference: a baseline, or another run.
        planned: prompts that will be asked, by category.
        policy: tolerances and error.
        stop_at_first: ask nothing any more once a category has regressed: the verdict is certain, and where else
            something was lost is then not known.
    """

    def __init__(
        self,
        reference: Baseline | Run,
        planned: Mapping[str, int],
        policy: GatePolicy,
        *,
        stop_at_first: bool = False,
    ) -> None:
        self._stop_at_first = stop_at_first
        self._reference = reference
        self._before = sides(reference)
        self._planned = dict(planned)
        self._policy = policy
        largest = max(planned.values(), default=0)
        self._early = [Fraction(look, largest) for look in looks_at(largest)[:-1]]
        self._early_share, self._last_share = share_of(0, largest), share_of(largest, largest)
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._after: dict[str, dict[str, Side]] = {category: {} for category in planned}
        self._seen: dict[str, int] = dict.fromkeys(planned, 0)
        self._decided: frozenset[str] = frozenset()
        self._regressed: frozenset[str] = frozenset()
        self._noise_of = cache(lambda undrafted: run_noise(reference, undrafted=undrafted))

    def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
        """Judge anew after one more conversation; returns all categories that are decided."""
        latest = prefixes[grown][-1]
        self._after[grown][latest.question_id] = side_of(latest)
        while self._early and self._is_complete(self._early[0]) and not self._over:
            self._look_at_all(self._early.pop(0))
        return frozenset(self._planned) if self._over else self._decided

    @property
    def _over(self) -> bool:
        """Whether nothing more is to be asked, though not everything is decided."""
        return self._stop_at_first and bool(self._regressed)

    def result(self, run: Run) -> GateResult:
        """The verdicts, once the run is over."""
        pairing = pair_up(self._reference, run)
        rows = make_rows(pairing, self._policy.tolerance)
        if run.stopped and not any(name == OVERALL for name, _ in self._outcomes):
            rows = [row for row in rows if not row.of_all]
        last = frozenset(row.name for row in rows if row.name not in run.stopped and not (row.of_all and run.stopped))
        self._add(rows, pairing, last, self._last_share, early=False)
        names = {row.name for row in rows}
        outcomes = {key: outcome for key, outcome in self._outcomes.items() if key[0] in names}
        decided = {name: count for name, count in run.stopped.items() if name in self._decided}
        notes = [*self._how_far(decided, [name for name in run.stopped if name not in decided])]
        notes += self._last_seen_together(run)
        return judged(rows, outcomes, pairing, self._policy, stopped=decided, notes=notes)

    def _how_far(self, decided: Mapping[str, int], left: Sequence[str]) -> Iterator[str]:
        if decided:
            asked = (f"{name} {self._seen[name]} of {count}" for name, count in decided.items())
            yield f"Decided before all prompts were asked, at the same error: {', '.join(asked)}."
        if left:
            yield (
                "Nothing was asked any more once one category had regressed (--speedbench-stop-at-first), so these are "
                f"not decided: {', '.join(left)}."
            )

    def _last_seen_together(self, run: Run) -> list[str]:
        """That all prompts together were looked at with fewer than there are in the end: while nothing was decided."""
        seen = next((outcome.latest for (name, _), outcome in self._outcomes.items() if name == OVERALL), None)
        if not run.stopped or seen is None or len(seen.prompt_ids) == len(run.conversations):
            return []
        return [
            f"All prompts together were last looked at when {len(seen.prompt_ids)} of the {len(run.conversations)} had "
            "been asked, before the first category was decided."
        ]

    def _is_complete(self, share: Fraction) -> bool:
        """Whether every category that is still asked has given its share."""
        return all(
            len(self._after[category]) >= ceil(share * count)
            for category, count in self._planned.items()
            if category not in self._decided
        )

    def _look_at_all(self, share: Fraction) -> None:
        """Look at all undecided categories at this share of each, whatever more is there already."""
        grown = set()
        for category, count in self._planned.items():
            part = ceil(share * count)
            if category not in self._decided:
                if max(FIRST_LOOK, self._seen[category] + 1) <= part < count:
                    grown.add(category)
                self._seen[category] = part
        pairing = self._pairing()
        rows = make_rows(pairing, self._policy.tolerance)
        together = frozenset() if self._decided else frozenset({OVERALL})
        self._add(rows, pairing, grown | together, self._early_share, early=True)
        regressed, sound = self._newly_decided(pairing.draft_length)
        self._regressed |= regressed & grown
        self._decided |= (regressed | sound) & grown

    def _pairing(self) -> Pairing:
        measured = {
            name: side
            for category, of_category in self._after.items()
            for name, side in list(of_category.items())[: self._seen[category]]
        }
        return pair_sides(self._reference, self._before, measured, self._noise_of)

    def _add(self, rows: Sequence[Row], pairing: Pairing, only: Collection[str], share: float, *, early: bool) -> None:
        metrics = metrics_of(pairing, self._policy)
        found = look_at(rows, metrics, pairing, only=frozenset(only), share=share, early=early)
        for key, look in found.items():
            self._outcomes[key] = self._outcomes[key].after(look) if key in self._outcomes else Outcome.of(look)

    def _newly_decided(self, draft_length: int) -> tuple[frozenset[str], frozenset[str]]:
        """The rows that have regressed, and those in which a drop beyond the tolerance is excluded."""
        keys = list(self._outcomes)
        unseen = self._tests(draft_length) - len(keys)
        p_values = [self._outcomes[key].surest.p_value for key in keys] + [1.0] * unseen
        levels = holm_levels(p_values, self._policy.family_error)
        found: dict[str, list[tuple[Outcome, float]]] = {}
        for key, level in zip(keys, levels, strict=False):
            found.setdefault(key[0], []).append((self._outcomes[key], level))
        regressed = frozenset(
            name for name, rows in found.items() if any(outcome.surest.p_value <= level for outcome, level in rows)
        )
        sound = frozenset(
            name for name, rows in found.items() if all(_excluded(outcome.latest, level) for outcome, level in rows)
        )
        return regressed, sound

    def _tests(self, draft_length: int) -> int:
        """How many figures will be tested at most: rows and figures not looked at yet count from the start."""
        rows: list[str | None] = [*self._planned, *([None] if len(self._planned) > 1 else [])]
        rates = [rate_metric(position) for position in range(1, draft_length + 1)]
        gated = sum(self._policy.tolerance.gates(rate, row) for rate in rates for row in rows)
        return len(LENGTHS) * len(rows) + gated


def _excluded(look: Look, level: float) -> bool:
    """Whether a drop beyond the tolerance is excluded, prompts that are still to be asked included."""
    lower, _ = look.estimate.interval(level * look.share)
    return lower >= look.boundary
