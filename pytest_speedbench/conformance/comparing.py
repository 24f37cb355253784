"""Outputs that should be equal: where they differ, and whether rounding explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pytest_speedbench.conformance.asking import Answer
from pytest_speedbench.conformance.findings import BrokenPromiseError
from pytest_speedbench.engines.base import Engine, EngineInfo, RanksTokens
from pytest_speedbench.metrics.lossless import Difference, Judged

_RANKED = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """How many outputs were compared, and how many differ at a near-tie."""

    outputs: int
    near_ties: int

    def __str__(self) -> str:
        equal = f"{self.outputs - self.near_ties} of {self.outputs} outputs equal"
        return equal + (f", the other {self.near_ties} differ first at a near-tie" if self.near_ties else "")


async def check_equal(
    engine: Engine, info: EngineInfo, expected: Sequence[Answer], found: Sequence[Answer], what: str
) -> Compared:
    """Hold greedy outputs against others of the same prompts.

    Args:
        engine: asked how likely the two tokens were where they differ.
        info: of that engine; its dtype says what rounding can do.
        expected: the reference.
        found: what must equal it.
        what: how the two were asked, for the message.

    Raises:
        BrokenPromiseError: an output differs, and not at a near-tie.
    """
    ties = 0
    for number, (reference, other) in enumerate(zip(expected, found, strict=True)):
        difference = _first_difference(number, reference.ids, other.ids)
        if difference is None:
            continue
        judged = await _judge(engine, info, reference, difference)
        if not judged.near_tie:
            raise BrokenPromiseError(f"output {number + 1} of {len(expected)} differs {what}: {_words(judged)}")
        ties += 1
    return Compared(len(expected), ties)


def _first_difference(number: int, expected: tuple[int, ...], found: tuple[int, ...]) -> Difference | None:
    for position, (own, other) in enumerate(zip_longest(expected, found)):
        if own != other:
            return Difference(str(number), 0, position, expected[:position], own, other)
    return None


async def _judge(engine: Engine, info: EngineInfo, reference: Answer, difference: Difference) -> Judged:
    dtype = info.args.get("dtype")
    ranked: dict[int, float] | None = None
    if isinstance(engine, RanksTokens):
        ids = reference.prompt_ids + difference.common_ids
        ranked = dict(await engine.next_tokens(ids, _RANKED)) or None
    return Judged.of(difference, ranked, None if dtype is None else str(dtype).removeprefix("torch."))


def _words(judged: Judged) -> str:
    where = judged.difference
    text = f"token {where.position + 1} is {where.pair_id} in place of {where.target_id}"
    if where.target_id is None or where.pair_id is None:
        longer, shorter = ("found", "expected") if where.target_id is None else ("expected", "found")
        return f"the {shorter} one ends after {where.position} tokens, the {longer} one goes on"
    if judged.near_tie is None:
        return f"{text}, and whether they nearly tie cannot be said: the engine names no log-probabilities or no dtype"
    if judged.margin_nats is None:
        return f"{text}, which is not among the {_RANKED} most probable there"
    return f"{text}, which is {judged.margin_nats:.3g} nats less probable"
