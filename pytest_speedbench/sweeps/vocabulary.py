"""How small may a draft vocabulary be? The full head and cut-down ones on the same prompts, judged by category.

Two kinds of statement are made, each at the policy's family-wise error over all categories and sizes together:

- *regression found*: the gate's verdict at one size. Each of S sizes is gated at family error / S (Bonferroni), and
  within a size the gate corrects over its categories and the overall row (Holm).
- *no regression shown*: the lower bound of the change excludes a drop beyond the tolerance. Each of m lengths (macro
  and pooled, of categories and overall) is tested at family error / m, its sizes in fixed order from the largest down,
  and a size counts only if all larger ones do. A fixed order needs no correction over sizes: a false statement needs
  the first size that is really worse to pass its own test, which happens with a probability of at most
  family error / m.

What is neither is *no regression found*: the prompts do not say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.gate import (
    OVERALL,
    GatePolicy,
    GateResult,
    GateRow,
    Look,
    Verdict,
    compare,
    looks_of,
    pair_up,
)
from pytest_speedbench.measure.run import Conversation, Run
from pytest_speedbench.pruning import TokenCounts, draft_vocabulary, most_frequent, prune_head, special_ids
from pytest_speedbench.pruning.coverage import outside_of
from pytest_speedbench.tolerance import LENGTH_METRICS


class Standing(str, Enum):
    """What can be said of one category at one size."""

    SHOWN = "no regression shown"
    """A drop beyond the tolerance is excluded here and at every larger size."""
    NOT_FOUND = "no regression found"
    """Neither excluded nor found."""
    REGRESSION = "regression"
    """The gate found a drop beyond the tolerance."""
    NOT_JUDGED = "not judged"
    """Data is missing, or there are too few prompts to say anything."""


@dataclass(frozen=True, slots=True)
class SizeCell:
    """One category at one draft vocabulary.

    Attributes:
        size: tokens the head can propose.
        gate: the gate's row at family error / S: lengths, change, its own interval and verdict.
        lower: the lower of both lengths' lower bounds of the change, each at the one-sided level family error / m;
            ``None`` if they cannot be tested.
        standing: what can be said.
        outside_share: share of the target's output tokens that the head cannot propose; ``None`` without output.
    """

    size: int
    gate: GateRow
    lower: float | None
    standing: Standing
    outside_share: float | None


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One category, or all prompts together, over all sizes; ``cells`` are in falling order of size."""

    name: str
    full_al: float | None
    cells: tuple[SizeCell, ...]

    @property
    def smallest_shown(self) -> int | None:
        """The smallest size at which no regression is shown, here and at all larger ones; ``None`` if there is none."""
        return self._smallest({Standing.SHOWN})

    @property
    def smallest_not_found(self) -> int | None:
        """The smallest size at which none is found, here and at all larger ones. It may be too small."""
        return self._smallest({Standing.SHOWN, Standing.NOT_FOUND})

    def _smallest(self, accepted: set[Standing]) -> int | None:
        smallest = None
        for cell in self.cells:
            if cell.standing not in accepted:
                break
            smallest = cell.size
        return smallest


@dataclass(frozen=True, slots=True)
class VocabularySweep:
    """A full head and its cuts on the same prompts.

    Attributes:
        full: the run of the uncut head.
        full_size: tokens the uncut head can propose.
        pruned: the run of each size, in falling order of size.
        rows: one per category, in alphabetical order.
        overall: all prompts together; ``None`` if fewer than two categories could be compared.
        gates: the gate's result of each size.
        policy: tolerances and family-wise error.
        notes: what a reader should know besides.
    """

    full: Run
    full_size: int
    pruned: Mapping[int, Run]
    rows: tuple[SizeRow, ...]
    overall: SizeRow | None
    gates: Mapping[int, GateResult]
    policy: GatePolicy
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes measured besides the full one, the largest first."""
        return tuple(self.pruned)

    @property
    def smallest_shown(self) -> int | None:
        """The smallest size at which no regression is shown in any category."""
        return _for_all(row.smallest_shown for row in self.rows)

    @property
    def smallest_not_found(self) -> int | None:
        """The smallest size at which no regression is found in any category, nor in all prompts together.

        A regression of all prompts together is one of some category, though the prompts do not tell which.
        """
        return _for_all(row.smallest_not_found for row in self.all_rows)

    @property
    def all_rows(self) -> tuple[SizeRow, ...]:
        """The categories' rows, then the overall one."""
        return self.rows if self.overall is None else (*self.rows, self.overall)


def cut_heads(pair: Pair, sizes: Sequence[int], counts: TokenCounts, folder: Path) -> dict[int, Pair]:
    """Make a head of each size beside each other in ``folder`` and return its pair, the largest size first.

    The target's special tokens are always kept, the rest by frequency in ``counts``, so that a smaller vocabulary lies
    inside a larger one.

    Raises:
        ConfigError: a pair without an EAGLE-3 head, sizes that are no cut, or counts of another vocabulary.
        EngineError: a head of another layout.
    """
    if pair.drafter is None or pair.drafter.method is not DrafterMethod.EAGLE3 or pair.drafter.model is None:
        raise ConfigError(
            f"The drafter of {pair.name!r} is {pair.drafter or 'none'}, which has no draft vocabulary to cut.",
            "Give a pair with an EAGLE-3 head.",
        )
    if pair.server is not None:
        raise ConfigError(
            f"{pair.server} has a head of its own.",
            "Name an engine that is started here: the sweep starts it once per head.",
        )
    proposable = draft_vocabulary(pair.drafter.model)
    wrong = sorted(size for size in set(sizes) if not 0 < size < len(proposable))
    if wrong or not sizes:
        asked = f"of {wrong[0]} tokens is no cut of" if wrong else "to measure is missing for"
        raise ConfigError(
            f"A draft vocabulary {asked} the head {pair.drafter.model!r}, which has {len(proposable)}.",
            f"Give sizes from 1 to {len(proposable) - 1}.",
        )
    target = open_checkpoint(pair.model, download=True)
    if target.size("vocab_size") not in (None, counts.vocab_size):
        raise ConfigError(
            f"{counts.source} was counted over {counts.vocab_size} tokens, and {pair.model!r} has "
            f"{target.size('vocab_size')}.",
            "Count the text with this target.",
        )
    always = special_ids(target.folder)
    kept = {
        size: most_frequent(counts, size, always=always, among=proposable) for size in sorted(set(sizes), reverse=True)
    }
    pairs: dict[int, Pair] = {}
    for size, ids in kept.items():
        head = folder / f"{pair.name}-{size}"
        prune_head(pair.drafter.model, ids, head)
        pairs[size] = replace(pair, name=head.name, drafter=replace(pair.drafter, model=str(head)))
    return pairs


def sweep_vocabulary(
    measure: Callable[[Pair], Run],
    pair: Pair,
    sizes: Sequence[int],
    counts: TokenCounts,
    folder: Path,
    policy: GatePolicy | None = None,
) -> VocabularySweep:
    """Measure a pair with its own head and with cuts of it, and judge each size.

    Args:
        measure: asks every pair the same prompts with the same settings.
        pair: with an EAGLE-3 head, full or pruned already.
        sizes: draft vocabularies to try, in tokens.
        counts: what to keep by.
        folder: where the heads go; they stay there.
        policy: tolerances and family-wise error.

    Raises:
        ConfigError: see :func:`cut_heads`.
        EngineError: a head of another layout, or a pair that cannot be measured.
    """
    pairs = cut_heads(pair, sizes, counts, folder)
    full = measure(pair)
    runs = {size: measure(cut) for size, cut in pairs.items()}
    sweep = judge(full, runs, policy or GatePolicy())
    if counts.split_sha256 == full.split.sha256:
        note = f"{counts.source} were counted, and the same prompts judge the vocabulary: other prompts will do worse."
        sweep = replace(sweep, notes=(*sweep.notes, note))
    return sweep


def judge(full: Run, pruned: Mapping[int, Run], policy: GatePolicy) -> VocabularySweep:
    """Compare the runs of cut heads, by their sizes, with the run of the head they were cut from.

    The heads must still be in their places: what they can propose is read from them.

    Raises:
        ConfigError: no run of a cut head, or runs on other prompts than the full head's.
        EngineError: a head that cannot be read.
    """
    asked = [conversation.question_id for conversation in full.conversations]
    if not pruned or any([c.question_id for c in run.conversations] != asked for run in pruned.values()):
        raise ConfigError("The heads were not all asked the same prompts.", "Measure every size on one split.")
    sizes = sorted(pruned, reverse=True)
    pairings = {size: pair_up(full, pruned[size]) for size in sizes}
    per_size = replace(policy, family_error=policy.family_error / len(sizes))
    gates = {size: compare(pairings[size], per_size) for size in sizes}
    names = [*full.categories, *([OVERALL] if all(result.overall for result in gates.values()) else [])]
    vocabularies = {size: _vocabulary(pruned[size]) for size in sizes}
    looks = {size: looks_of(pairings[size], policy) for size in sizes}
    level = policy.family_error / (len(names) * len(LENGTH_METRICS))

    def row(name: str) -> SizeRow:
        conversations = full.conversations if name == OVERALL else full.in_category(name)
        return _row(name, conversations, gates, looks, vocabularies, level)

    rows = {name: row(name) for name in names}
    return VocabularySweep(
        full=full,
        full_size=len(_vocabulary(full)),
        pruned={size: pruned[size] for size in sizes},
        rows=tuple(rows[name] for name in full.categories),
        overall=rows.get(OVERALL),
        gates=gates,
        policy=policy,
        notes=tuple(f"{size} tokens: {note}" for size in sizes for note in (*gates[size].doubts, *gates[size].notes)),
    )


def _row(
    name: str,
    conversations: Sequence[Conversation],
    gates: Mapping[int, GateResult],
    looks: Mapping[int, Mapping[tuple[str, str], Look]],
    vocabularies: Mapping[int, NDArray[np.int64]],
    level: float,
) -> SizeRow:
    cells: list[SizeCell] = []
    all_shown = True
    full_al: float | None = None
    for size, result in gates.items():
        gate = next(row for row in result.all_rows if row.name == name)
        macro = gate.change_of("al_macro")
        full_al = macro.baseline if macro else None
        found = [look for (row, _), look in looks[size].items() if row == name]
        bounds = [(look.estimate.interval(level)[0], look.boundary) for look in found]
        shown = bool(bounds) and all(lower >= boundary for lower, boundary in bounds)
        standing = _standing(gate, shown=shown, larger_shown=all_shown)
        all_shown = standing is Standing.SHOWN
        share = outside_of(conversations, vocabularies[size]).share
        lower = min((lower for lower, _ in bounds), default=None)
        cells.append(SizeCell(size, gate, None if lower is None else lower - 1, standing, share))
    return SizeRow(name, full_al, tuple(cells))


def _standing(gate: GateRow, *, shown: bool, larger_shown: bool) -> Standing:
    if gate.verdict is Verdict.REGRESSION:
        return Standing.REGRESSION
    if gate.verdict is Verdict.MISSING or not gate.tested:
        return Standing.NOT_JUDGED
    if not gate.change_of("al_pooled") and gate.verdict is Verdict.NO_REGRESSION:
        shown = True  # too few prompts to test, but none of them changed
    return Standing.SHOWN if larger_shown and shown else Standing.NOT_FOUND


def _vocabulary(run: Run) -> NDArray[np.int64]:
    if run.pair.drafter is None or run.pair.drafter.model is None:
        raise ConfigError(f"The pair {run.pair.name!r} has no head.", "Judge runs of EAGLE-3 heads.")
    return draft_vocabulary(run.pair.drafter.model)


def _for_all(sizes: Iterable[int | None]) -> int | None:
    """The size that suits every category: the largest of their smallest ones."""
    known = list(sizes)
    return None if None in known else max(size for size in known if size is not None)
