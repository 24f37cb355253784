"""Two pairs measured in turn, ABBABAAB…, so that what changes on the machine meanwhile changes both.

One engine is alive at a time, so every change of sides is a restart; two adjacent rounds of one side share a start.
After each start every concurrency is warmed up with a few prompts that are not recorded. A restart before each round
of a side would tell a little more, at a third more starts.

What is controlled: both sides are asked the same prompts in the same order; start-up and first-use costs are outside of
the rounds; a linear drift is taken out; differences between starts are in the interval. An engine that keeps prompts in
a cache across requests must not, as for every measurement in rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import exp

from pytest_speedbench.baselines.rounds import RoundSpeeds
from pytest_speedbench.config import LEAST_ROUNDS, Pair
from pytest_speedbench.errors import ConfigError, EngineError
from pytest_speedbench.gate.speed import Interleaved, TakenRound
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.rounds import RoundSpeed
from pytest_speedbench.sweeps.draft_length import WARM_UP_PROMPTS

Ask = Callable[[Pair, int, int | None], Run]
"""Measures a pair anew at a concurrency, on so many of the prompts (``None``: all)."""


def interleaved_order(rounds: int) -> tuple[bool, ...]:
    """Whose turn it is, ``True`` for the candidate's: AB BA BA AB, over and over, ``rounds`` times each side."""
    order: list[bool] = []
    for pair in range(rounds):
        reference_first = pair % 4 in (0, 3)
        order += [not reference_first, reference_first]
    return tuple(order)


def measure_interleaved(
    ask: Ask, reference: Pair, candidate: Pair, *, concurrencies: Sequence[int], rounds: int, prompts: int
) -> tuple[Interleaved, ...]:
    """Measure both pairs in turn; returns their rounds at each concurrency.

    Args:
        ask: measures.
        reference: side A.
        candidate: side B.
        concurrencies: conversations at a time, each at least 1; every round passes over the prompts once at each.
        rounds: a side, at least 3.
        prompts: how many there are.

    Raises:
        ConfigError: too few rounds, no concurrency, or one above the number of prompts.
        EngineError: an engine failed, or gave no times.
    """
    if rounds < LEAST_ROUNDS:
        raise ConfigError(
            f"{rounds} rounds a side are too few for an interval.", f"Measure at least {LEAST_ROUNDS} rounds."
        )
    if not concurrencies or min(concurrencies) < 1 or max(concurrencies) > prompts:
        named = ", ".join(map(str, concurrencies)) or "none"
        raise ConfigError(
            f"Speeds cannot be compared at concurrency {named} with {prompts} prompts.",
            "Name concurrencies from 1 to the number of prompts (better several times as many prompts).",
        )
    taken: dict[int, list[TakenRound]] = {concurrency: [] for concurrency in concurrencies}
    outputs: dict[tuple[int, bool], dict[str, list[tuple[int, ...]]]] = {}
    stretches = groupby(interleaved_order(rounds))
    for start, (is_candidate, stretch) in enumerate(stretches):
        pair = candidate if is_candidate else reference
        for concurrency in taken:
            _warm_up(ask, pair, concurrency, prompts)
        for _ in stretch:
            for concurrency, measured in taken.items():
                run = ask(pair, concurrency, None)
                measured.append(TakenRound(is_candidate, start, _speed(run)))
                outputs.setdefault((concurrency, is_candidate), _outputs(run))

    def different(concurrency: int) -> int:
        before, after = outputs[concurrency, False], outputs[concurrency, True]
        return sum(output != after[question_id] for question_id, output in before.items())

    return tuple(Interleaved(count, tuple(measured), different(count)) for count, measured in taken.items())


def measure_rounds(ask: Ask, pair: Pair, *, concurrency: int, rounds: int, prompts: int) -> RoundSpeeds:
    """Measure rounds of one pair after a warm-up, to be compared with stored ones.

    Raises:
        ConfigError: no rounds.
        EngineError: the engine failed, or gave no times.
    """
    if rounds < 1:
        raise ConfigError(f"{rounds} rounds measure nothing.", "Measure at least one.")
    _warm_up(ask, pair, concurrency, prompts)
    runs = [ask(pair, concurrency, None) for _ in range(rounds)]
    for run in runs:
        _speed(run)
    return RoundSpeeds.of_runs(runs)


@dataclass(frozen=True, slots=True)
class Speedup:
    """How many times the Output TPS of the target alone a pair reaches.

    Attributes:
        ratio: the estimate.
        lower: the truth is below it with a probability of at most ``error``.
        upper: the truth is above it with a probability of at most ``error``.
        error: of each bound.
        measured: all rounds; the target alone is the reference.
    """

    ratio: float
    lower: float
    upper: float
    error: float
    measured: Interleaved

    @classmethod
    def of(cls, measured: Interleaved, error: float) -> Speedup:
        """From rounds of the target alone and of the pair."""
        estimate = measured.estimate("output_tps")
        half = estimate.half_width(error)
        low, middle, high = (exp(estimate.difference + shift) for shift in (-half, 0.0, half))
        return cls(middle, low, high, error, measured)


def _warm_up(ask: Ask, pair: Pair, concurrency: int, prompts: int) -> None:
    ask(pair, concurrency, min(prompts, max(WARM_UP_PROMPTS, concurrency)))


def _outputs(run: Run) -> dict[str, list[tuple[int, ...]]]:
    """Output ids of each turn, by prompt."""
    return {c.question_id: [turn.output_ids for turn in c.turns] for c in run.conversations}


def _speed(run: Run) -> RoundSpeed:
    speed = RoundSpeed.of(run)
    if speed.output_tps is None:
        raise EngineError(f"The engine {run.engine.name} gave no times.", "Look at the engine's own log.")
    return speed
