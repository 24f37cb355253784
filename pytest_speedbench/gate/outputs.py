"""Whether the candidate put out what the baseline did: greedy output does not depend on the drafter.

Rounding may turn a near-tie over, and from there on an output is another text. If rounding turns over a token with a
probability of at most r, an output of n tokens differs with at most 1 − (1 − r)^n; r is 1e-4 in float32, 2e-3 in
float16 and 1e-2 in bfloat16 or where nobody says in which dtype the target computes. Of a replay the margins of the
stored outputs say it. With q the mean of these over the compared prompts, or the upper 99 % bound of the share that
differed between the runs of the baseline's calibration where that is more, c of n differing outputs are more than
rounding explains if

    P[Binomial(n, q) ≥ c] ≤ error level.

The sum of unequal chances exceeds its mean less often than the binomial of their mean does (Hoeffding, 1956), so the
bound is exact or safe. Where the baseline keeps how outputs open, their first 16 tokens are compared in the same way
and each of the two has half of the error: long outputs of a 16-bit target nearly all differ somewhere, those of another
target at once. Openings are given the larger rate: the dtype's, or the one that makes outputs of these lengths differ
as often as the calibration's did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from scipy.special import bdtrc

from pytest_speedbench.measure.openings import OPENING_TOKENS

if TYPE_CHECKING:
    from pytest_speedbench.config import OutputsPolicyName
    from pytest_speedbench.gate.pairing import Side

COARSEST = "bfloat16"
TURNED_OVER = {"float32": 1e-4, "float16": 2e-3, COARSEST: 1e-2}
"""The probability that rounding turns a token over, by dtype: at most so much is allowed for."""
_SPELLINGS = {"float": "float32", "fp32": "float32", "half": "float16", "fp16": "float16", "bf16": COARSEST}


@dataclass(frozen=True, slots=True)
class OutputPair:
    """One prompt's output on both sides.

    Attributes:
        question_id: the prompt.
        category: its category.
        tokens: of the output, over all turns; of the longer side's.
        same: whether both put out the same tokens.
        same_opening: the same of the first tokens of the first turn; ``None`` if one side does not say.
        turned: the probability that rounding made another text of a replayed output; 0 for a decoded one, ``None`` if
            it is not known.
    """

    question_id: str
    category: str
    tokens: int
    same: bool
    same_opening: bool | None
    turned: float | None


@dataclass(frozen=True, slots=True)
class ComparedOutputs:
    """The greedy outputs of both sides.

    Attributes:
        runs: the compared prompts, of each of the candidate's runs.
        dtype: the coarser one of both sides' targets; ``None`` if one does not say.
        calibrated: the share of outputs that may differ as the baseline's calibration found it; ``None`` without one.
        places: where, in words, outputs differ first, by question id, as far as that is known.
    """

    runs: tuple[tuple[OutputPair, ...], ...]
    dtype: str | None
    calibrated: float | None = None
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputsFinding:
    """How many outputs differ and how many may.

    Attributes:
        compared: outputs.
        different: those that differ.
        most: the most that may, by the rule in force; ``None`` if any number may.
        openings: whether the figures are of the first tokens of outputs only.
        explained: what the most is allowed for, in words.
        first: the first prompt whose output differs, in words; empty if none does.
        failed: whether more differ than may.
    """

    compared: int
    different: int
    most: int | None
    openings: bool
    explained: str
    first: str
    failed: bool

    @property
    def blind(self) -> str:
        """That outputs differ and no number of them could have failed, in words; empty where one could."""
        if not self.different or self.most is None or self.most < self.compared:
            return ""
        return (
            f"{self.different} of {self.compared} greedy outputs differ, and {self.explained} would explain all of so "
            "few and so long ones: that the target is the same is not shown."
        )

    def sentence(self, against: str) -> str:
        """How many differ from the outputs of ``against`` and how many may, in words."""
        what = "greedy outputs open otherwise than" if self.openings else "greedy outputs differ from"
        may = f"{self.explained} explains {f'at most {self.most}' if self.most else 'none'}"
        if not self.explained:
            may = "none may with --speedbench-outputs=equal"
        return f"{self.different} of {self.compared} {what} those of {against}, and {may}."


def compared_outputs(
    before: Mapping[str, Side],
    runs: Iterable[Mapping[str, Side]],
    dtypes: Sequence[str | None],
    *,
    calibrated: float | None = None,
    places: Mapping[str, str] | None = None,
) -> ComparedOutputs:
    """Set the outputs of both sides against each other, prompt by prompt where both were asked the same prompt."""
    pairs = tuple(
        tuple(
            _pair(name, before[name], side)
            for name, side in sorted(run.items())
            if name in before and before[name].prompt_sha256 == side.prompt_sha256
        )
        for run in runs
    )
    return ComparedOutputs(pairs, coarser(dtypes), calibrated, places or {})


def judge_outputs(outputs: ComparedOutputs | None, policy: OutputsPolicyName, level: float) -> OutputsFinding | None:
    """Whether more outputs differ than may; ``None`` where there is nothing to compare, such as sampled outputs.

    ``level`` is the probability of failing where rounding alone differs; all runs of the candidate share it.
    """
    runs = [run for run in outputs.runs if run] if outputs is not None else []
    if outputs is None or not runs:
        return None
    worst = max(runs, key=lambda run: sum(not pair.same for pair in run))
    if policy != "calibrated":
        different = sum(not pair.same for pair in worst)
        most = 0 if policy == "equal" else None
        return _finding(outputs, worst, different, most, "")
    found = [_looked_at(outputs, run, level / len(runs)) for run in runs]
    return next((finding for finding in found if finding.failed), found[runs.index(worst)])


def _looked_at(outputs: ComparedOutputs, run: Sequence[OutputPair], level: float) -> OutputsFinding:
    """Whole outputs and, where they are known, their openings, at half of the level each."""
    rate = TURNED_OVER[outputs.dtype or COARSEST]
    opened = all(pair.same_opening is not None for pair in run)
    share = level / 2 if opened else level
    words = _explained(outputs, run)

    by_dtype = fmean(_chance(rate, pair.tokens, pair) for pair in run)
    allowed = max(by_dtype, outputs.calibrated or 0.0)
    whole = _finding(outputs, run, sum(not p.same for p in run), most_different(len(run), allowed, share), words)
    if whole.failed or not opened:
        return whole
    if outputs.calibrated is not None and outputs.calibrated < 1:
        tokens = fmean(pair.tokens for pair in run)
        rate = max(rate, 1 - (1 - outputs.calibrated) ** (1 / max(1.0, tokens)))
    elif outputs.calibrated is not None:
        return whole
    of_openings = fmean(_chance(rate, min(OPENING_TOKENS, pair.tokens), pair) for pair in run)
    different = sum(pair.same_opening is False for pair in run)
    opening = _finding(outputs, run, different, most_different(len(run), of_openings, share), words, openings=True)
    return opening if opening.failed else whole


def most_different(compared: int, share: float, level: float) -> int:
    """The most of so many outputs that may differ if each does with probability ``share``, at that error level."""
    return next(
        (count for count in range(compared) if float(bdtrc(count, compared, share)) <= level),
        compared,
    )


def _pair(name: str, before: Side, after: Side) -> OutputPair:
    openings = before.opening_sha256, after.opening_sha256
    turned = (before.turned, after.turned)
    return OutputPair(
        question_id=name,
        category=after.category,
        tokens=max(before.output_tokens, after.output_tokens),
        same=before.output_sha256 == after.output_sha256,
        same_opening=None if None in openings else openings[0] == openings[1],
        turned=None if None in turned else max(known for known in turned if known is not None),
    )


def _chance(rate: float, tokens: int, pair: OutputPair) -> float:
    """The probability that rounding makes another text of so many tokens."""
    if pair.turned is None:  # replayed, and nobody knows how near to a tie the target was
        rate = TURNED_OVER[COARSEST]
    return max(1 - (1 - rate) ** tokens, pair.turned or 0.0)


def coarser(dtypes: Sequence[str | None]) -> str | None:
    """The one of these dtypes that rounds most; ``None`` if one is not known."""
    names = [_SPELLINGS.get(name, name) for dtype in dtypes for name in [(dtype or "").removeprefix("torch.")]]
    if not all(name in TURNED_OVER for name in names):
        return None
    return max(names, key=TURNED_OVER.__getitem__)


def _explained(outputs: ComparedOutputs, run: Sequence[OutputPair]) -> str:
    parts = [f"rounding in {outputs.dtype}" if outputs.dtype else "rounding (in bfloat16: the dtype is not known)"]
    if outputs.calibrated is not None:
        parts.append("the baseline's calibration")
    if any(pair.turned is None or pair.turned > 0 for pair in run):
        parts.append("the margins of the replayed outputs")
    return " or ".join(parts)


def _finding(
    outputs: ComparedOutputs,
    run: Sequence[OutputPair],
    different: int,
    most: int | None,
    explained: str,
    *,
    openings: bool = False,
) -> OutputsFinding:
    changed = (pair for pair in run if (pair.same_opening is False if openings else not pair.same))
    first = next(changed, None)
    return OutputsFinding(
        compared=len(run),
        different=different,
        most=most,
        openings=openings,
        explained=explained,
        first="" if first is None else _first(first, outputs.places.get(first.question_id, "")),
        failed=most is not None and different > most,
    )


def _first(pair: OutputPair, place: str) -> str:
    where = place
    if not where and pair.same_opening is not None:
        where = f"{'after' if pair.same_opening else 'within'} its first {OPENING_TOKENS} tokens"
    return f"{pair.question_id} ({pair.category})" + (f", {where}" if where else "")
