"""Comparisons that are not prompt by prompt: with other prompts, or with a published table. Weaker, and said to be.

Prompts differ among each other much more than one prompt does between two measurements, so that these tests of means
see only large drops: at equal numbers of prompts several times as large as a paired test's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.schema import Baseline
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.gate.counts import StepCounts
from pytest_speedbench.gate.noise import OVERALL, calibration_notes, most_changed, run_noise
from pytest_speedbench.gate.outputs import compared_outputs
from pytest_speedbench.gate.pairing import (
    ACCEPTANCE_LENGTH,
    TOKENS_PER_DECODE_STEP,
    Pairing,
    PromptPair,
    counts_by_category,
    describe,
    dtype_of,
    has_undrafted,
    is_greedy,
    key_notes,
    pair_sides,
    sides,
    sides_of_runs,
)
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.speedbench_compat import chunk_lengths, conversation_lengths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_speedbench.baselines.published import PublishedFigures
    from pytest_speedbench.gate.pairing import Side

Candidate = Run | Baseline | Sequence[Run]
"""What is judged: a run, several runs of one pair, or what a baseline stores of one."""

PREFILL_COUNTED = "tokens per step, prefill included"
UNPAIRED_NOTE = "The two sides have different prompts: a test of means, which sees less than one prompt by prompt."
TABLE_NOTE = (
    "Compared with published figures, which have no prompts: their own error is not known and not counted; a test of "
    "means, weaker than prompt by prompt."
)
_MIX_SHIFT = 0.001
"""Relative shift of the overall mean by another mix of categories, from which it is no longer compared."""
_ROUNDING = 0.01


def pairing_unpaired(baseline: Baseline, candidate: Candidate) -> Pairing:
    """Set a baseline against a run of other prompts in the same categories.

    The same target, tokenizer and settings are the acceptance keys' business, not looked at here; nor is whether the
    two sets of prompts are equally hard, which nobody but the user can know.

    All prompts together are compared only where both sides hold the same shares of the categories.
    """
    before, after = sides(baseline), _sides_of(candidate)
    undrafted = has_undrafted((*before.values(), *after.values()))
    measured = {side.category for side in after.values()}
    compared = {name: side for name, side in before.items() if side.category in measured}
    pairs = [_one_sided(name, side, undrafted=undrafted, is_baseline=True) for name, side in compared.items()]
    pairs += [_one_sided(name, side, undrafted=undrafted, is_baseline=False) for name, side in after.items()]
    shift = _mix_shift(pairs)
    left = sorted({side.category for side in before.values()} - measured)
    first = candidate if isinstance(candidate, Run | Baseline) else candidate[0]
    notes = [f"Not measured, so not compared: {', '.join(left)}."] if left else []
    if abs(shift) > _MIX_SHIFT:
        notes.append(
            "All prompts together are not compared: the two sides hold other shares of the categories, which alone "
            f"moves their mean by {shift:+.1%}."
        )
    return Pairing(
        pairs=tuple(pairs),
        against=describe(baseline),
        figure=TOKENS_PER_DECODE_STEP if undrafted else ACCEPTANCE_LENGTH,
        basis="unpaired",
        baseline_prompts=counts_by_category(compared.values()),
        noise=run_noise(baseline, undrafted=undrafted),
        draft_length=max((record.draft_length for side in after.values() for record in side.records), default=0),
        together=abs(shift) <= _MIX_SHIFT,
        notes=(UNPAIRED_NOTE, *key_notes(baseline, first), *notes, *calibration_notes(baseline, ())),
    )


def pairing_with_table(table: PublishedFigures, candidate: Candidate) -> Pairing:
    """Set a run against a published table, whose figures are taken as exact.

    Its overall mean is compared only where the run's is a mean of the same kind: over all of the table's categories,
    every one of them alike.

    Raises:
        BaselineError: another draft length than the table's.
    """
    after = _sides_of(candidate)
    records = [record for side in after.values() for record in side.records]
    length = max((record.draft_length for record in records), default=table.draft_length)
    if length != table.draft_length:
        raise BaselineError(
            f"The published figures are of a draft length of {table.draft_length}, this run of {length}.",
            "Measure with the table's draft length.",
        )
    with_prefill = table.figure == "speedbench_al"
    published = dict(table.categories)
    notes = [TABLE_NOTE]
    if with_prefill:
        notes.append(
            "As in SPEED-Bench's tables, every turn's prefill is counted as a step of one token, and its last step "
            "without what was cut off and without the end of sequence."
        )
    elif has_undrafted(after.values()):
        notes.append("Steps without a draft are left out of the acceptance length, as they are of published ones.")
    left = sorted(set(published) - {side.category for side in after.values()})
    if left:
        notes.append(f"Not measured, so not compared: {', '.join(left)}.")
    if table.overall is not None:
        if _is_mean_of_categories(table) and _all_alike(published, after):
            published[OVERALL] = table.overall
        else:
            notes.append("The overall figures are not compared: they are means over different mixes of categories.")
    return Pairing(
        pairs=_chunks_against_table(candidate, after)
        if with_prefill
        else tuple(_one_sided(name, side, undrafted=False, is_baseline=False) for name, side in after.items()),
        against=f"published figures ({table.source})",
        figure=PREFILL_COUNTED if with_prefill else ACCEPTANCE_LENGTH,
        basis="aggregate",
        published=published,
        draft_length=length,
        notes=tuple(notes),
    )


def pairing_of_baselines(reference: Baseline, candidate: Baseline) -> Pairing:
    """Pair the prompts of two baselines, as :func:`~pytest_speedbench.gate.pairing.pair_up` does those of a run."""
    before, after = sides(reference), sides(candidate)
    both = len(before.keys() & after.keys())
    notes = (
        f"{both} prompts are in both baselines, of {len(before)} in the reference and {len(after)} in the candidate.",
    )
    pairing = pair_sides(reference, before, after, lambda undrafted: run_noise(reference, undrafted=undrafted))
    return replace(
        pairing,
        notes=(
            *key_notes(reference, candidate),
            *(notes if both < max(len(before), len(after)) else ()),
            *calibration_notes(reference, ()),
        ),
        outputs=compared_outputs(
            before, [after], [dtype_of(reference), dtype_of(candidate)], calibrated=most_changed(reference)
        )
        if is_greedy(reference) and is_greedy(candidate)
        else None,
    )


def _sides_of(candidate: Candidate) -> dict[str, Side]:
    if isinstance(candidate, Run | Baseline):
        return sides(candidate)
    return sides_of_runs(candidate)


def _one_sided(question_id: str, side: Side, *, undrafted: bool, is_baseline: bool) -> PromptPair:
    counts = StepCounts.of(side.records, undrafted=undrafted)
    problem = ""
    if side.problem:
        problem = f"the baseline has {side.problem}" if is_baseline else f"the engine gave {side.problem}"
    elif undrafted and any(record.decode_steps is None for record in side.records):
        problem = "the engine does not say how many decode steps had no draft"
    before, after = (counts, None) if is_baseline else (None, counts)
    return PromptPair(question_id, side.category, before, after, side.turns, problem, side.exposed, is_baseline)


def _chunks_against_table(candidate: Candidate, after: Mapping[str, Side]) -> tuple[PromptPair, ...]:
    """Prompts with lengths counted as SPEED-Bench's tool counts them, the mean over runs whose ends are known."""
    counted = _chunk_lengths(candidate)
    return tuple(_counted_in_chunks(name, side, counted.get(name, ())) for name, side in after.items())


def _counted_in_chunks(question_id: str, side: Side, counted: Sequence[Mapping[int, int] | None]) -> PromptPair:
    known = [lengths for lengths in counted if lengths is not None]
    problem = ""
    if side.problem:
        problem = f"the engine gave {side.problem}"
    elif any(record.undrafted_steps is None for record in side.records):
        problem = "the engine does not say how many decode steps had no draft"
    elif not known:
        problem = "it is not known which steps the outputs' ends cut"
    histograms = [[lengths.get(length, 0) for length in range(1, max(lengths, default=0) + 1)] for lengths in known]
    counts = None if problem else StepCounts.of_histograms(histograms)
    return PromptPair(question_id, side.category, None, counts, side.turns, problem, side.exposed)


def _chunk_lengths(candidate: Candidate) -> dict[str, list[Mapping[int, int] | None]]:
    """Of every prompt and run, the lengths that SPEED-Bench's tool counts; of a baseline its own run's."""
    found: dict[str, list[Mapping[int, int] | None]] = {}
    if isinstance(candidate, Baseline):
        for entry in candidate.prompts:
            found[entry.id] = [chunk_lengths(entry.record(candidate.source), entry.turns, entry.cuts)]
        return found
    for run in [candidate] if isinstance(candidate, Run) else candidate:
        for conversation in run.conversations:
            found.setdefault(conversation.question_id, []).append(conversation_lengths(conversation))
    return found


def _mix_shift(pairs: Sequence[PromptPair]) -> float:
    """By how much another mix of categories alone would move the mean over all prompts, relatively."""
    lengths: dict[str, list[float]] = {}
    for pair in pairs:
        if pair.before is not None:
            lengths.setdefault(pair.category, []).append(pair.before.length)
    now = Counter(pair.category for pair in pairs if pair.after is not None and pair.category in lengths)
    if not now:
        return 0.0
    before = fmean(length for category in now for length in lengths[category])
    return sum(count * fmean(lengths[category]) for category, count in now.items()) / now.total() / before - 1


def _is_mean_of_categories(table: PublishedFigures) -> bool:
    return table.overall is not None and abs(fmean(table.categories.values()) - table.overall) <= _ROUNDING


def _all_alike(published: Mapping[str, float], after: Mapping[str, Side]) -> bool:
    counts = counts_by_category(after.values())
    return set(counts) == set(published) and len(set(counts.values())) == 1
