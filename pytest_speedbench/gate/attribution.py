"""Where a change of the acceptance length lies: parts of the category, draft positions, lengths, prompts, vocabulary.

Descriptive only: nothing here is tested and nothing has an interval. Of many parts some always differ; whether there is
a regression at all is the verdict's business.

Every figure weighs the prompts alike, as the gated mean does, so that the parts, the positions and the prompts each add
up to the very change that the gate judged. For positions that takes the mean over prompts of their joint acceptance
rates: with J_0 = 1, J_k the mean share of steps that accepted at least k tokens and c_k = J_k / J_(k−1),

    mean length = 1 + Σ_k J_k = 1 + Σ_k Π_(j ≤ k) c_j.

Where steps without a draft occurred, the length is tokens per decode step, all shares are of decode steps, and position
0 is the share of them that had a draft. The change is divided among the positions by Shapley value: the effect of
replacing one c_k by its new value, averaged over all orders of replacing them. The length is linear in each c_k, for
which that average is an integral along the straight line from the old rates to the new (Owen, *Multilinear Extensions
of Games*, 1972): a polynomial of degree K at most, which Gauss–Legendre quadrature integrates exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from pytest_speedbench.config import DrafterMethod
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.gate.noise import OVERALL
from pytest_speedbench.gate.pairing import TOKENS_PER_DECODE_STEP, pair_up, sides, sides_of_runs
from pytest_speedbench.measure.run import Run
from pytest_speedbench.pruning import draft_vocabulary
from pytest_speedbench.pruning.coverage import outside_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_speedbench.acceptance import AcceptanceRecord
    from pytest_speedbench.baselines.schema import Baseline
    from pytest_speedbench.config import Pair
    from pytest_speedbench.gate.pairing import Pairing, PromptPair
    from pytest_speedbench.measure.run import Conversation

MOST_MOVERS = 10
_LEAST_PROMPTS_FOR_THIRDS = 6


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a category's prompts.

    Attributes:
        name: the sub-category, the category, or the range of tokens.
        prompts: how many.
        before: mean length of the reference, in tokens per step.
        after: the same now.
        contribution: what these prompts add to the category's change, in tokens per step.
        outside_share: share of their output tokens outside the draft vocabulary; ``None`` if it is not pruned.
    """

    name: str
    prompts: int
    before: float
    after: float
    contribution: float
    outside_share: float | None

    @property
    def change(self) -> float:
        """Relative: −0.05 is a drop of 5 %."""
        return self.after / self.before - 1


@dataclass(frozen=True, slots=True)
class DraftPosition:
    """One position of the draft, counted from 1; 0 is whether there was a draft at all.

    Attributes:
        position: k.
        rate_before: P(accepted ≥ k | accepted ≥ k − 1) of the reference; ``None`` where no step accepted k − 1.
        rate_after: the same now.
        joint_before: P(accepted ≥ k) of the reference.
        joint_after: the same now.
        effect: what this position's rate adds to the change, in tokens per step; those of all positions add up to it. A
            rate that one side does not have is taken to be the other's: what is never reached has no effect.
    """

    position: int
    rate_before: float | None
    rate_after: float | None
    joint_before: float
    joint_after: float
    effect: float


@dataclass(frozen=True, slots=True)
class MovedPrompt:
    """A prompt that moved its category, with its lengths in tokens per step.

    Attributes:
        question_id: the prompt.
        sub_category: its sub-category.
        before: the reference's length.
        after: the length now.
        baseline_steps: the reference's decode steps over all turns.
        candidate_steps: the same now.
        turns: how many turns it has.
        contribution: what it adds to the category's change: (after − before) / prompts of the category.
        same_output: whether both sides answered the same, token for token.
        outside_share: share of its output tokens outside the draft vocabulary; ``None`` if it is not pruned.
    """

    question_id: str
    sub_category: str
    before: float
    after: float
    baseline_steps: int
    candidate_steps: int
    turns: int
    contribution: float
    same_output: bool
    outside_share: float | None


@dataclass(frozen=True, slots=True)
class CategoryAttribution:
    """Where the change of one category lies, or of all prompts together.

    Attributes:
        name: the category, or ``overall``.
        prompts: prompts compared.
        fell: how many of them have a smaller length now.
        rose: how many have a greater one.
        before: mean length of the reference, in tokens per step.
        after: the same now.
        parts_by: what ``parts`` are: ``sub-category``, or ``category`` for ``overall``.
        parts: in the order of their contributions, the greatest drop first.
        positions: 1 … K with every prompt weighing alike: their effects add up to ``after − before``. Position 0 comes
            first where steps without a draft occurred.
        positions_pooled: the same with every step weighing alike, as the pooled rates of a measurement's table do:
            their effects add up to the change of the pooled length.
        by_prompt_tokens: thirds by the length of the first turn's rendered prompt now, the shortest first. Equal
            lengths stay together. Empty below six prompts, or if all are equally long.
        by_output_tokens: thirds by the tokens of all turns' outputs now.
        movers: at most ten, by contribution in the direction of the category's change, the strongest first.
        outside_share: share of the category's output tokens outside the draft vocabulary; ``None`` if it is not pruned.
        outside_share_elsewhere: of the other categories of the run together; ``None`` also if there are none.
    """

    name: str
    prompts: int
    fell: int
    rose: int
    before: float
    after: float
    parts_by: str
    parts: tuple[Part, ...]
    positions: tuple[DraftPosition, ...]
    positions_pooled: tuple[DraftPosition, ...]
    by_prompt_tokens: tuple[Part, ...]
    by_output_tokens: tuple[Part, ...]
    movers: tuple[MovedPrompt, ...]
    outside_share: float | None
    outside_share_elsewhere: float | None

    @property
    def change(self) -> float:
        """In tokens per step."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where the changes lie.

    Attributes:
        against: what was compared with, in words.
        figure: the name of the compared length.
        categories: one per asked name.
        not_located: the asked names of which no prompt was measured on both sides.
    """

    against: str
    figure: str
    categories: tuple[CategoryAttribution, ...]
    not_located: tuple[str, ...] = ()


def attribute(
    reference: Baseline | Run,
    run: Run | Sequence[Run],
    names: Iterable[str],
    vocabulary: NDArray[np.int64] | None = None,
    only: Mapping[str, Collection[str]] | None = None,
) -> Attribution:
    """Say where the changes of some categories lie.

    Args:
        reference: what the run was compared with.
        run: the candidate; of several runs of it, lengths are means over them and texts those of the first.
        names: categories, or ``overall``, which leaves out the categories that could not be compared.
        vocabulary: target ids that the candidate's drafter can propose, if it is pruned; see :func:`vocabulary_of`.
        only: of some of the names the prompts that count; all of them for the others.
    """
    runs = [run] if isinstance(run, Run) else list(run)
    pairing = pair_up(reference, runs)
    broken = {pair.category for pair in pairing.pairs if pair.problem}
    rows = _rows(reference, runs, pairing)
    found, not_located = [], []
    for name in names:
        if name == OVERALL:
            own = [row for row in rows if row.pair.category not in broken]
        else:
            own = [row for row in rows if row.pair.category == name]
        counted = (only or {}).get(name)
        if counted:
            own = [row for row in own if row.pair.question_id in counted]
        if own:
            found.append(_category(name, own, runs[0], vocabulary))
        else:
            not_located.append(name)
    return Attribution(pairing.against, pairing.figure, tuple(found), tuple(not_located))


def vocabulary_of(pair: Pair) -> NDArray[np.int64] | None:
    """The target ids that a pair's EAGLE-3 head can propose; ``None`` unless it is a pruned EAGLE-3 head.

    Raises:
        EngineError: the head cannot be found or read.
    """
    if pair.drafter is None or pair.drafter.method is not DrafterMethod.EAGLE3 or pair.drafter.model is None:
        return None
    head = open_checkpoint(pair.drafter.model, download=True)
    if head.size("draft_vocab_size") in (None, head.size("vocab_size")):
        return None
    return draft_vocabulary(pair.drafter.model)


@dataclass(frozen=True, slots=True)
class _Survivors:
    """Of one prompt on one side: how many steps of how many accepted at least k tokens, k = 0 … K, in all its runs.

    ``joint`` is the mean over runs of each run's own shares.
    """

    counts: NDArray[np.float64]
    steps: int
    joint: NDArray[np.float64]

    @classmethod
    def of(cls, records: Sequence[AcceptanceRecord], draft_length: int, *, per_decode_step: bool) -> _Survivors:
        counts = np.zeros((len(records), draft_length + 1))
        for row, record in zip(counts, records, strict=True):
            row[: len(record.histogram)] = record.histogram
        counts = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
        steps = [(record.decode_steps if per_decode_step else record.verify_steps) or 0 for record in records]
        return cls(counts.sum(axis=0), sum(steps), (counts / np.array(steps)[:, None]).mean(axis=0))


@dataclass(frozen=True, slots=True)
class _Row:
    """A prompt that both sides have a length of."""

    pair: PromptPair
    conversation: Conversation
    before: float
    after: float
    survivors_before: _Survivors
    survivors_after: _Survivors
    same_output: bool

    @property
    def change(self) -> float:
        return self.after - self.before


def _rows(reference: Baseline | Run, runs: Sequence[Run], pairing: Pairing) -> list[_Row]:
    earlier, now = sides(reference), sides_of_runs(runs)
    conversations = {conversation.question_id: conversation for conversation in runs[0].conversations}
    records = [record for side in (*earlier.values(), *now.values()) for record in side.records]
    longest = max((record.draft_length for record in records), default=0)
    per_decode_step = pairing.figure == TOKENS_PER_DECODE_STEP
    rows = []
    for pair in pairing.pairs:
        if pair.problem or pair.baseline_al is None or pair.candidate_al is None:
            continue
        then, own = earlier[pair.question_id], now[pair.question_id]
        rows.append(
            _Row(
                pair=pair,
                conversation=conversations[pair.question_id],
                before=pair.baseline_al,
                after=pair.candidate_al,
                survivors_before=_Survivors.of(then.records, longest, per_decode_step=per_decode_step),
                survivors_after=_Survivors.of(own.records, longest, per_decode_step=per_decode_step),
                same_output=then.output_sha256 == own.output_sha256,
            )
        )
    return sorted(rows, key=lambda row: row.pair.question_id)


def _category(name: str, rows: Sequence[_Row], run: Run, vocabulary: NDArray[np.int64] | None) -> CategoryAttribution:
    def outside(conversations: Iterable[Conversation]) -> float | None:
        return None if vocabulary is None else outside_of(conversations, vocabulary).share

    def part(label: str, of: Sequence[_Row]) -> Part:
        return Part(
            name=label,
            prompts=len(of),
            before=fmean(row.before for row in of),
            after=fmean(row.after for row in of),
            contribution=sum(row.change for row in of) / len(rows),
            outside_share=outside(row.conversation for row in of),
        )

    def parts(label_of: Callable[[_Row], str]) -> tuple[Part, ...]:
        labels = sorted({label_of(row) for row in rows})
        found = [part(label, [row for row in rows if label_of(row) == label]) for label in labels]
        return tuple(sorted(found, key=lambda one: (round(one.contribution, 9), one.name)))

    def thirds(tokens_of: Callable[[_Row], int]) -> tuple[Part, ...]:
        groups = _thirds(rows, tokens_of)
        return tuple(part(_range([tokens_of(row) for row in group]), group) for group in groups)

    overall = name == OVERALL
    before, after = fmean(row.before for row in rows), fmean(row.after for row in rows)
    elsewhere = [] if overall else [c for c in run.conversations if c.category != name]
    return CategoryAttribution(
        name=name,
        prompts=len(rows),
        fell=sum(row.change < 0 for row in rows),
        rose=sum(row.change > 0 for row in rows),
        before=before,
        after=after,
        parts_by="category" if overall else "sub-category",
        parts=parts(lambda row: row.conversation.category if overall else row.conversation.sub_category),
        positions=_positions(rows, pooled=False),
        positions_pooled=_positions(rows, pooled=True),
        by_prompt_tokens=thirds(lambda row: row.conversation.turns[0].prompt_tokens),
        by_output_tokens=thirds(lambda row: row.conversation.output_tokens),
        movers=_movers(rows, outside, falling=after < before),
        outside_share=outside(row.conversation for row in rows),
        outside_share_elsewhere=outside(elsewhere),
    )


def _movers(
    rows: Sequence[_Row], outside: Callable[[Iterable[Conversation]], float | None], *, falling: bool
) -> tuple[MovedPrompt, ...]:
    # Rounded, so that equal moves are ordered by name and not by the last bit.
    moves = [(round(-row.change if falling else row.change, 9), row) for row in rows]
    strongest = sorted(moves, key=lambda move: (-move[0], move[1].pair.question_id))[:MOST_MOVERS]
    return tuple(
        MovedPrompt(
            question_id=row.pair.question_id,
            sub_category=row.conversation.sub_category,
            before=row.before,
            after=row.after,
            baseline_steps=row.pair.baseline_steps,
            candidate_steps=row.pair.candidate_steps,
            turns=len(row.conversation.turns),
            contribution=row.change / len(rows),
            same_output=row.same_output,
            outside_share=outside([row.conversation]),
        )
        for move, row in strongest
        if move > 0
    )


def _positions(rows: Sequence[_Row], *, pooled: bool) -> tuple[DraftPosition, ...]:
    joint = _pooled if pooled else _mean
    joint_before = joint([row.survivors_before for row in rows])
    joint_after = joint([row.survivors_after for row in rows])
    before, after = _rates(joint_before), _rates(joint_after)
    effects = _effects(before, after)
    positions = [
        DraftPosition(
            position=k,
            rate_before=_known(before[k]),
            rate_after=_known(after[k]),
            joint_before=float(joint_before[k]),
            joint_after=float(joint_after[k]),
            effect=float(effects[k]),
        )
        for k in range(len(effects))
    ]
    every_step_drafted = joint_before[0] == joint_after[0] == 1
    return tuple(positions[1:] if every_step_drafted else positions)


def _mean(rows: Sequence[_Survivors]) -> NDArray[np.float64]:
    return np.asarray(np.mean([row.joint for row in rows], axis=0))


def _pooled(rows: Sequence[_Survivors]) -> NDArray[np.float64]:
    return np.asarray(np.sum([row.counts for row in rows], axis=0) / sum(row.steps for row in rows))


def _rates(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    """c_0 = J_0 and c_k = J_k / J_(k−1); NaN where nothing accepted k − 1 tokens."""
    rates = np.full(len(joint), np.nan)
    earlier = np.concatenate([[1.0], joint[:-1]])
    np.divide(joint, earlier, out=rates, where=earlier > 0)
    return rates


def _effects(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Shapley value of each rate in the change of Σ_(k ≥ 1) Π_(j ≤ k) c_j; see the module's docstring."""
    start, end = np.where(np.isnan(before), after, before), np.where(np.isnan(after), before, after)
    start, end = np.nan_to_num(start), np.nan_to_num(end)
    points, weights = np.polynomial.legendre.leggauss(len(start) // 2 + 1)
    rates = start + (points[:, None] + 1) / 2 * (end - start)
    effects = np.empty(len(start))
    for k in range(len(start)):
        others = rates.copy()
        others[:, k] = 1
        slope = np.cumprod(others, axis=1)[:, max(k, 1) :].sum(axis=1)
        effects[k] = (end[k] - start[k]) * (weights @ slope) / 2
    return effects


def _thirds(rows: Sequence[_Row], tokens_of: Callable[[_Row], int]) -> list[list[_Row]]:
    """The rows in three groups of about the same size, in rising order; fewer if many are equal, none if all are."""
    if len(rows) < _LEAST_PROMPTS_FOR_THIRDS:
        return []
    lengths = sorted(tokens_of(row) for row in rows)
    first, second = (lengths[-(-len(rows) * third // 3) - 1] for third in (1, 2))
    groups: list[list[_Row]] = [[], [], []]
    for row in rows:
        groups[(tokens_of(row) > first) + (tokens_of(row) > second)].append(row)
    filled = [group for group in groups if group]
    return filled if len(filled) > 1 else []


def _range(tokens: Sequence[int]) -> str:
    low, high = min(tokens), max(tokens)
    return f"{low} tokens" if low == high else f"{low}–{high} tokens"


def _known(rate: float) -> float | None:
    return None if np.isnan(rate) else float(rate)
