"""How probable the target held the tokens that were sampled, as far as there is time to ask."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.conformance.asking import Answer, all_of, within
from pytest_speedbench.conformance.prompts import Ids
from pytest_speedbench.engines.base import Engine, RanksTokens

_RANKED = 20
_BELOW_NATS = 1.0
"""A token beyond the ranked ones is taken for so much less probable than the last of them."""

Known = dict[Ids, dict[int, float]]
"""By sequence, the log-probabilities of what may follow."""


async def log_probabilities(
    engine: Engine,
    answers: Sequence[Sequence[Answer]],
    positions: int,
    known: Known,
    *,
    at_once: int,
    silence_s: float,
    budget_s: float,
) -> list[NDArray[np.float64]] | None:
    """Log-probabilities of sampled tokens, position by position from the second on (the first comes of the prefill).

    Args:
        engine: asked how likely tokens are.
        answers: per prompt.
        positions: of the outputs at most.
        known: what was asked before; it grows.
        at_once: sequences asked at a time.
        silence_s: how long the engine may take for one.
        budget_s: no further position is begun that would take longer than this in all.

    Returns:
        Per prompt [answers, positions]; 0 for positions for which there was no time. ``None`` if the engine cannot say,
        or not in time.
    """
    if not isinstance(engine, RanksTokens):
        return None
    rows = [np.zeros((len(of_prompt), positions)) for of_prompt in answers]
    began = time.perf_counter()
    asked = reached = 0
    for position in range(1, positions):
        wanted = {_before(a, position) for of_prompt in answers for a in of_prompt if len(a.ids) > position}
        missing = sorted(wanted - known.keys())
        spent = time.perf_counter() - began
        if asked and spent + len(missing) * spent / asked > budget_s:
            break
        asked += len(missing)
        if not await _ask(engine, missing, at_once, silence_s, known):
            return None
        for row, of_prompt in zip(rows, answers, strict=True):
            for number, answer in enumerate(of_prompt):
                if len(answer.ids) > position:
                    row[number, position] = _of(answer.ids[position], known[_before(answer, position)])
        reached = position
    return rows if reached else None


async def _ask(engine: RanksTokens, missing: Iterable[Ids], at_once: int, silence_s: float, known: Known) -> bool:
    waiting = iter(missing)

    async def work() -> None:
        for ids in waiting:
            known[ids] = dict(await within(engine.next_tokens(ids, _RANKED), silence_s, "not ranked tokens"))

    await all_of([work() for _ in range(at_once)])
    return all(known[ids] for ids in missing)


def _before(answer: Answer, position: int) -> Ids:
    return answer.prompt_ids + answer.ids[:position]


def _of(token: int, ranked: dict[int, float]) -> float:
    return ranked.get(token, min(ranked.values()) - _BELOW_NATS)
