"""Bringing two measurements of the same prompts together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.fingerprint import AcceptanceKey, acceptance_notes
from pytest_speedbench.baselines.schema import Baseline, output_sha256
from pytest_speedbench.gate.counts import StepCounts
from pytest_speedbench.gate.effects import RunNoise
from pytest_speedbench.gate.loaded import SameDrafts, same_drafts
from pytest_speedbench.gate.noise import calibration_notes, most_changed, run_noise
from pytest_speedbench.gate.outputs import ComparedOutputs, compared_outputs
from pytest_speedbench.measure.openings import opening_sha256
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.lossless import first_difference
from pytest_speedbench.metrics.near_ties import exposed_share, turned_over

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pytest_speedbench.acceptance import AcceptanceRecord
    from pytest_speedbench.gate.verdict import Basis
    from pytest_speedbench.measure.run import Conversation

Noise = Mapping[str, Mapping[str, RunNoise]]
"""By category, or ``overall``, and figure."""

ACCEPTANCE_LENGTH = "acceptance length"
TOKENS_PER_DECODE_STEP = "tokens per decode step"


@dataclass(frozen=True, slots=True)
class PromptPair:
    """One measured prompt on both sides.

    Attributes:
        question_id: the prompt.
        category: its category.
        before: the baseline's counts; ``None`` without a step, or if the baseline lacks the prompt.
        after: the counts now; ``None`` without a step.
        turns: how many turns the prompt has.
        problem: why the two sides cannot be compared though they should be, in words; then the category does not pass.
        exposed: of a side that was replayed, the share of its steps that rounding may have made another text of;
            ``None`` if that is not known.
        in_baseline: whether the baseline has the prompt.
    """

    question_id: str
    category: str
    before: StepCounts | None
    after: StepCounts | None
    turns: int = 1
    problem: str = ""
    exposed: float | None = 0.0
    in_baseline: bool = True

    @property
    def later(self) -> bool:
        """Of different prompts on the two sides: whether it is the later side's."""
        return self.before is None and (self.after is not None or not self.in_baseline)

    @property
    def baseline_al(self) -> float | None:
        """The baseline's length in tokens per step."""
        return self.before.length if self.before else None

    @property
    def candidate_al(self) -> float | None:
        """The length now."""
        return self.after.length if self.after else None

    @property
    def baseline_steps(self) -> int:
        """The baseline's decode steps over all turns, of a run."""
        return round(self.before.steps) if self.before else 0

    @property
    def candidate_steps(self) -> int:
        """The same now."""
        return round(self.after.steps) if self.after else 0


@dataclass(frozen=True, slots=True)
class Pairing:
    """All measured prompts with their baselines.

    Attributes:
        pairs: one per measured prompt, whether the baseline has it or not. With the basis ``unpaired``, one per prompt
            of either side.
        against: what the baseline is, in words.
        figure: the name of the compared length.
        basis: what is set against what.
        published: with the basis ``aggregate``, the mean acceptance length of each category, taken as exact.
        baseline_prompts: prompts per category in the baseline, measured or not.
        noise: what moves a whole run, by category (or ``overall``) and figure, as a calibration found it.
        draft_length: K, for the acceptance rates; 0 if unknown.
        together: whether all prompts together are compared too.
        notes: what a reader should know about the pairing.
        update_hint: how to accept the change as the new baseline; empty if there is no baseline file to update.
        outputs: what both sides put out; ``None`` where that is not to be compared, such as sampled outputs.
        same_drafts: that another drafter drafted the very same; ``None`` if it did not.
    """

    pairs: tuple[PromptPair, ...]
    against: str = "the baseline"
    figure: str = ACCEPTANCE_LENGTH
    basis: Basis = "paired"
    published: Mapping[str, float] = field(default_factory=dict)
    baseline_prompts: Mapping[str, int] = field(default_factory=dict)
    noise: Noise = field(default_factory=dict)
    draft_length: int = 0
    together: bool = True
    notes: tuple[str, ...] = ()
    update_hint: str = ""
    outputs: ComparedOutputs | None = None
    same_drafts: SameDrafts | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """What one measurement knows of a prompt.

    Attributes:
        category: its category.
        turns: how many it has.
        prompt_sha256: of its first turn as rendered.
        output_sha256: of all its turns' outputs.
        records: one per run; none if one lacks it.
        exposed: as in :class:`PromptPair`.
        contradiction: why a record cannot be of its output, in words; empty if all can be.
        output_tokens: of all its turns.
        opening_sha256: of how the first output begins; ``None`` where it was not kept.
        turned: as in :class:`~pytest_speedbench.gate.outputs.OutputPair`.
    """

    category: str
    turns: int
    prompt_sha256: str
    output_sha256: str
    records: tuple[AcceptanceRecord, ...]
    exposed: float | None = 0.0
    output_tokens: int = 0
    opening_sha256: str | None = None
    turned: float | None = 0.0
    contradiction: str = ""

    @property
    def problem(self) -> str:
        """Why it has no record to compare, in words that follow whose it is; empty if it has one."""
        if self.contradiction:
            return f"a record that cannot be of the output ({self.contradiction})"
        return "" if self.records else "no acceptance record"


def pair_up(baseline: Baseline | Run, run: Run | Sequence[Run]) -> Pairing:
    """Pair the prompts of a run with those of a baseline, or of another run, by ``question_id``.

    The compared length is tokens per decode step: Σ(accepted + 1) plus one per step without a draft, over all those
    steps. Where every step had a draft, on both sides, that is the acceptance length, and is called so; where some had
    none, the acceptance length leaves them out and would praise a drafter for proposing less. Where the engine does not
    say which steps had none, the acceptance length is compared unless another prompt shows that there are such steps.

    Of several runs of the candidate, and of a calibrated baseline, the mean over runs is compared, prompt by prompt.
    Comparability of the two measurements as such is the acceptance keys' business, not looked at here.
    """
    runs = [run] if isinstance(run, Run) else list(run)
    before = sides(baseline)
    after = sides_of_runs(runs)
    pairing = pair_sides(baseline, before, after, lambda undrafted: run_noise(baseline, undrafted=undrafted))
    notes = (*key_notes(baseline, runs[0]), *_notes(before, after), *calibration_notes(baseline, runs))
    return replace(
        pairing,
        notes=notes,
        update_hint=update_hint(baseline),
        outputs=_outputs(baseline, before, runs),
        same_drafts=same_drafts(baseline, runs),
    )


def _outputs(baseline: Baseline | Run, before: Mapping[str, Side], runs: Sequence[Run]) -> ComparedOutputs | None:
    """The outputs of both sides, where both are greedy."""
    if not is_greedy(baseline) or not all(run.sampling.greedy for run in runs):
        return None
    places: dict[str, str] = {}
    if isinstance(baseline, Run):
        then = {conversation.question_id: conversation for conversation in baseline.conversations}
        both = ((then[c.question_id], c) for c in runs[0].conversations if c.question_id in then)
        first = min(
            (
                found
                for one, other in both
                if len(one.turns) == len(other.turns) and (found := first_difference(one, other))
            ),
            key=lambda found: found.question_id,
            default=None,
        )
        if first is not None:
            places[first.question_id] = f"turn {first.turn + 1}, at output token {first.position + 1}"
    return compared_outputs(
        before,
        [sides_of_runs([run]) for run in runs],
        [dtype_of(baseline), *(dtype_of(run) for run in runs)],
        calibrated=most_changed(baseline) if isinstance(baseline, Baseline) else None,
        places=places,
    )


def is_greedy(side: Baseline | Run) -> bool:
    """Whether every token was the target's most likely one."""
    return side.sampling.greedy if isinstance(side, Run) else side.acceptance_key.temperature == 0


def dtype_of(side: Baseline | Run) -> str | None:
    """In which its target computed; ``None`` if the engine does not say."""
    return side.dtype if isinstance(side, Run) else side.comparable_key.dtype


def pair_sides(
    baseline: Baseline | Run, before: Mapping[str, Side], after: Mapping[str, Side], noise_of: Callable[[bool], Noise]
) -> Pairing:
    """Pair what is known of each prompt on both sides, without notes; see :func:`pair_up`.

    ``noise_of`` gives what moves whole runs, by whether steps without a draft count.
    """
    undrafted = has_undrafted((*before.values(), *after.values()))
    known_categories = {side.category for side in before.values()}
    return Pairing(
        pairs=tuple(
            make_pair(question_id, before.get(question_id), side, known_categories, undrafted=undrafted)
            for question_id, side in after.items()
        ),
        against=describe(baseline),
        figure=TOKENS_PER_DECODE_STEP if undrafted else ACCEPTANCE_LENGTH,
        baseline_prompts=counts_by_category(before.values()),
        noise=noise_of(undrafted),
        draft_length=max((record.draft_length for side in after.values() for record in side.records), default=0),
    )


def make_pair(
    question_id: str, before: Side | None, after: Side, known_categories: Collection[str], *, undrafted: bool
) -> PromptPair:
    """The two sides of one prompt, with what keeps them from being compared; the categories are the baseline's."""
    problem = ""
    if after.problem:
        problem = f"the engine gave {after.problem}"
    elif before is None:
        problem = "" if after.category in known_categories else "the baseline does not have this category"
    elif before.problem:
        problem = f"the baseline has {before.problem}"
    elif undrafted and any(record.decode_steps is None for record in (*before.records, *after.records)):
        problem = "the engine does not say how many decode steps had no draft"
    elif before.category != after.category:
        problem = f"the baseline has it under {before.category}"
    elif before.prompt_sha256 != after.prompt_sha256:
        problem = "the rendered prompt differs (is there a date or a changed argument in the chat template?)"
    return PromptPair(
        question_id=question_id,
        category=after.category,
        before=StepCounts.of(before.records, undrafted=undrafted) if before else None,
        after=StepCounts.of(after.records, undrafted=undrafted),
        turns=after.turns,
        problem=problem,
        exposed=_larger(before.exposed if before else 0.0, after.exposed),
        in_baseline=before is not None,
    )


def has_undrafted(found: Iterable[Side]) -> bool:
    """Whether any step is known to have had no draft."""
    return any(record.undrafted_steps for side in found for record in side.records)


def key_notes(baseline: Baseline | Run, candidate: Baseline | Run) -> tuple[str, ...]:
    """What the keys of the two sides say beside that they may be compared."""
    return acceptance_notes(key_of(baseline), key_of(candidate))


def key_of(measured: Baseline | Run) -> AcceptanceKey:
    """The acceptance key of a baseline or a run."""
    return measured.comparable_key if isinstance(measured, Baseline) else AcceptanceKey.of(measured)


def update_hint(baseline: Baseline | Run) -> str:
    """How to accept a change; empty if there is no file to update."""
    if isinstance(baseline, Run):
        return ""
    return "If this change is intended, run the same tests with --speedbench-update and commit the new baseline."


def _notes(before: Mapping[str, Side], after: Mapping[str, Side]) -> Iterable[str]:
    not_measured = sorted({side.category for side in before.values()} - {side.category for side in after.values()})
    if not_measured:
        yield f"Not measured, so not compared: {', '.join(not_measured)}."
    both = [name for name in after if name in before]
    if len(both) < len(before):
        yield f"{len(both)} of the baseline's {len(before)} prompts were measured."
    if len(both) < len(after):
        yield f"{len(after) - len(both)} measured prompts are not in the baseline and were not compared."
    changed = sum(before[name].output_sha256 != after[name].output_sha256 for name in both)
    if changed:
        yield f"The output differs from the baseline's in {changed} of {len(both)} prompts."


def sides(measured: Baseline | Run) -> dict[str, Side]:
    """What a baseline or a run knows of each prompt, by ``question_id``."""
    if isinstance(measured, Run):
        return sides_of_runs([measured])
    return {
        entry.id: Side(
            entry.category,
            entry.turns,
            entry.prompt_sha256,
            entry.output_sha256,
            measured.records(entry),
            output_tokens=entry.output_tokens,
            opening_sha256=entry.opening_sha256,
        )
        for entry in measured.prompts
    }


def sides_of_runs(runs: Sequence[Run]) -> dict[str, Side]:
    """What several runs of the same prompts know of each; the first one's prompts and outputs."""
    others = [{c.question_id: c for c in run.conversations} for run in runs[1:]]
    return {
        conversation.question_id: side_of(conversation, [other.get(conversation.question_id) for other in others])
        for conversation in runs[0].conversations
    }


def side_of(conversation: Conversation, others: Sequence[Conversation | None] = ()) -> Side:
    """What is known of one prompt; ``others`` are the same in further runs, ``None`` where it was not asked."""
    measured = [conversation, *others]
    records = [None if one is None else one.acceptance for one in measured]
    known = tuple(record for record in records if record is not None)
    return Side(
        conversation.category,
        len(conversation.turns),
        conversation.turns[0].prompt_sha256,
        output_sha256(conversation),
        known if len(known) == len(records) else (),
        exposed_share(conversation),
        conversation.output_tokens,
        opening_sha256(conversation.turns[0].output_ids),
        turned_over(conversation),
        next((one.contradiction for one in measured if one is not None and one.contradiction), ""),
    )


def _larger(one: float | None, other: float | None) -> float | None:
    """Of two replays of one text: what is another text for the one is so for the other."""
    return None if one is None or other is None else max(one, other)


def describe(baseline: Baseline | Run) -> str:
    """What is compared with, in words."""
    if isinstance(baseline, Baseline):
        return f"the baseline of {baseline.pair} on {baseline.split}, recorded {baseline.recorded.date[:10]}"
    return f"{baseline.pair.name} on {baseline.split.name}"


def counts_by_category(found: Iterable[Side]) -> dict[str, int]:
    """Prompts per category."""
    return dict(Counter(side.category for side in found))
