"""With and without its drafter the engine says the same: token for token when greedy, in distribution when sampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.acceptance import pool
from pytest_speedbench.conformance.asking import Answer
from pytest_speedbench.conformance.comparing import check_equal
from pytest_speedbench.conformance.findings import AbsentError, BrokenPromiseError
from pytest_speedbench.conformance.likelihood import log_probabilities
from pytest_speedbench.conformance.promises.base import Check
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.conformance.two_samples import ENDED, LABELLINGS, Outputs, TwoSamples, compare_samples, shares

_ALARM = f"false alarm 1 in {LABELLINGS:,}"
_PREFILL = "the prefill's own, before any draft"


async def greedy_is_lossless(subject: Subject) -> str:
    """The same prompts, with the drafter and in a second engine without it."""
    engine = await subject.target_alone()
    target, pair = await subject.greedy(subject.alone), await subject.greedy(subject.pair)
    if any(answer.finish.acceptance is not None for answer in target):
        raise BrokenPromiseError("requests of the target alone have acceptance records")
    info = subject.sides[subject.alone].info
    compared = await check_equal(engine, info, target, pair, "with the drafter")
    return f"{compared}, {sum(len(answer.ids) for answer in target)} tokens"


def sampling_is_lossless(temperature: float) -> Check:
    """The check at one temperature."""

    async def check(subject: Subject) -> str:
        engine = await subject.target_alone()
        pair, target = (
            await subject.sampled(subject.pair, temperature),
            await subject.sampled(subject.alone, temperature),
        )
        ours, theirs = _outputs(pair), _outputs(target)
        positions = subject.effort.positions
        both = [[*one, *other] for one, other in zip(pair, target, strict=True)]
        logs = await log_probabilities(
            engine,
            both,
            positions,
            subject.ranked,
            at_once=subject.at_once(subject.sides[subject.alone].info),
            silence_s=subject.silence_s,
            budget_s=subject.effort.ranking_s,
        )
        found = compare_samples(ours, theirs, positions, logs)
        asked = f"{len(ours)} prompts × {len(ours[0])} draws × {positions} positions"
        if found.differ:
            raise BrokenPromiseError(f"{_difference(found, ours, theirs)}{_likelihood(logs)}; {asked}, {_ALARM}")
        if found.seen_share is None:
            raise AbsentError(f"{asked} are too few, or too much alike, to show any difference")
        return (
            f"{asked}, no difference ({_ALARM}); would be seen: "
            f"{found.seen_share:.0%} of tokens replaced by the most frequent one there; AL {_al(pair)}"
        )

    return check


def _outputs(answers: Sequence[Sequence[Answer]]) -> list[list[tuple[int, ...]]]:
    return [[answer.ids for answer in row] for row in answers]


def _difference(found: TwoSamples, ours: Sequence[Outputs], theirs: Sequence[Outputs]) -> str:
    """Where the samples differ most, and in which token of which prompt."""
    position = found.position
    largest = 0.0, 0, 0.0, 0.0
    for one, other in zip(ours, theirs, strict=True):
        with_drafter, without = shares(one, position), shares(other, position)
        for token in with_drafter.keys() | without.keys():
            a, b = with_drafter.get(token, 0.0), without.get(token, 0.0)
            largest = max(largest, (abs(a - b), token, a, b))
    _, token, a, b = largest
    what = "the output has ended" if token == ENDED else f"token {token} stands there"
    where = f"position {position}" + (f" ({_PREFILL})" if position == 1 else "")
    return (
        f"with the drafter other tokens are sampled, most at {where}: {what} in {a:.0%} of the outputs of a prompt, "
        f"without it in {b:.0%}"
    )


def _likelihood(logs: Sequence[NDArray[np.float64]] | None) -> str:
    """How much more probable the tokens are with the drafter, where that was asked."""
    if logs is None:
        return ""
    halves = [np.split(rows, 2) for rows in logs]
    ours, theirs = (np.concatenate([half[side][half[side] != 0] for half in halves]) for side in (0, 1))
    if not len(ours) or not len(theirs):
        return ""
    gain = float(ours.mean() - theirs.mean())
    return f"; on average they are {abs(gain):.2f} nats {'more' if gain > 0 else 'less'} probable"


def _al(answers: Sequence[Sequence[Answer]]) -> str:
    total = pool(r for row in answers for answer in row if (r := answer.finish.acceptance) is not None)
    return "not said" if total is None or total.al is None else f"{total.al:.2f}"
