"""How well the interval of a speed's ratio holds, in worlds where rounds are not independent of each other.

Two engines are measured in turn, ABBABAAB…; the candidate's true speed is 0.95 times the reference's, which is just
what the tolerance accepts. A round's speed has 1 % of noise and one thing besides: nothing; a drift of 1 % a round; an
effect of the engine's start, as large as the noise or three times as large; a slow spell, once, anywhere, in which half
a side's rounds in a row, or a whole side's number of them, lose 10 %; or noise that is correlated from round to round.

Three analyses see the same draws: the shipped one, whose unit is the start; the one that takes every round for a unit;
and the wider of the two. Printed are the coverage of the two-sided 95 % interval, how often a one-sided test at 1 %
calls the loss greater than the tolerance, the half of the interval's width, and the loss that the gate, which tests
five figures at 1 % together, finds 4 times in 5 (both medians).

    python benchmarks/speed_level.py --out benchmarks/results/speed_level.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from importlib import metadata
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_speedbench.gate.speed import Interleaved, SpeedEstimate, TakenRound, _least_squares
from pytest_speedbench.metrics.rounds import RoundSpeed
from pytest_speedbench.sweeps.interleaved import interleaved_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Draw = Callable[[np.random.Generator, NDArray[np.int64]], Floats]

ROUNDS = (3, 6)
TRUTH = 0.95
NOISE = 0.01
SPELL = 0.1
CORRELATION = 0.7
FIGURES = 5
FAMILY_ERROR = 0.01
ANALYSES = ("starts (shipped)", "rounds", "wider of both")


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started_at = time.perf_counter()
    print(f"{options.repetitions} repetitions; nominal coverage 95.0 %, nominal calls 1.00 %")
    print(f"{'rounds':>6} {'world':24} {'analysis':18} {'coverage':>9} {'calls':>7} {'± half':>7} {'detects':>8}")
    rows = []
    for rounds in ROUNDS:
        for number, (world, draw) in enumerate(WORLDS):
            rng = np.random.default_rng([options.seed, rounds, number])
            for row in _simulate(rounds, draw, options.repetitions, rng):
                rows.append({"rounds": rounds, "world": world, **row})
                print(
                    f"{rounds:>6} {world:24} {row['analysis']:18} {row['coverage']:9.1%} {row['calls_at_1pct']:7.2%} "
                    f"{row['half_width']:7.1%} {row['detectable_loss']:8.1%}",
                    flush=True,
                )
    if options.out:
        result = {
            "command": " ".join(["python", "benchmarks/speed_level.py", *sys.argv[1:]]),
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
            "scipy": metadata.version("scipy"),
            "seed": options.seed,
            "repetitions": options.repetitions,
            "true_ratio": TRUTH,
            "noise": NOISE,
            "wall_s": round(time.perf_counter() - started_at, 1),
            "rows": rows,
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def _noise(rng: np.random.Generator, starts: NDArray[np.int64]) -> Floats:
    return rng.normal(0, NOISE, starts.size)


def _drift(rng: np.random.Generator, starts: NDArray[np.int64]) -> Floats:
    return _noise(rng, starts) - 0.01 * np.arange(starts.size)


def _start_effects(size: float) -> Draw:
    def draw(rng: np.random.Generator, starts: NDArray[np.int64]) -> Floats:
        of_start: Floats = rng.normal(0, size * NOISE, starts.max() + 1)[starts]
        return _noise(rng, starts) + of_start

    return draw


def _slow_spell(share: float) -> Draw:
    def draw(rng: np.random.Generator, starts: NDArray[np.int64]) -> Floats:
        length = max(1, round(share * starts.size / 2))
        first = rng.integers(-length + 1, starts.size)
        places = np.arange(starts.size)
        slow: Floats = SPELL * ((places >= first) & (places < first + length))
        return _noise(rng, starts) - slow

    return draw


def _correlated(rng: np.random.Generator, starts: NDArray[np.int64]) -> Floats:
    noise = _noise(rng, starts)
    for place in range(1, starts.size):
        noise[place] = CORRELATION * noise[place - 1] + (1 - CORRELATION**2) ** 0.5 * noise[place]
    return noise


WORLDS: tuple[tuple[str, Draw], ...] = (
    ("independent noise", _noise),
    ("linear drift", _drift),
    ("starts differ, 1 × noise", _start_effects(1)),
    ("starts differ, 3 × noise", _start_effects(3)),
    ("slow spell, half a side", _slow_spell(0.5)),
    ("slow spell, a side", _slow_spell(1)),
    ("correlated noise", _correlated),
)


def _simulate(rounds: int, draw: Draw, repetitions: int, rng: np.random.Generator) -> list[dict[str, object]]:
    sides = np.array(interleaved_order(rounds))
    starts = np.concatenate([[0], np.cumsum(sides[1:] != sides[:-1])])
    covered = dict.fromkeys(ANALYSES, 0)
    called = dict.fromkeys(ANALYSES, 0)
    widths: dict[str, list[float]] = {name: [] for name in ANALYSES}
    reaches: dict[str, list[float]] = {name: [] for name in ANALYSES}
    for _ in range(repetitions):
        logs = draw(rng, starts) + log(TRUTH) * sides
        for name, estimate in _analyses(logs, sides, starts).items():
            half = estimate.half_width(0.025)
            covered[name] += abs(estimate.difference - log(TRUTH)) <= half
            called[name] += estimate.p_value(log(TRUTH), 1) <= 0.01
            widths[name].append(half)
            reaches[name].append(1 - TRUTH * np.exp(-estimate.reach(FAMILY_ERROR / FIGURES)))
    return [
        {
            "analysis": name,
            "coverage": round(covered[name] / repetitions, 4),
            "calls_at_1pct": round(called[name] / repetitions, 5),
            "half_width": round(float(np.expm1(np.median(widths[name]))), 4),
            "detectable_loss": round(float(np.median(reaches[name])), 4),
        }
        for name in ANALYSES
    ]


def _analyses(logs: Floats, sides: NDArray[np.bool_], starts: NDArray[np.int64]) -> dict[str, SpeedEstimate]:
    taken = (
        TakenRound(bool(side), int(start), RoundSpeed(float(np.exp(value)), None, None, None, None))
        for value, side, start in zip(logs, sides, starts, strict=True)
    )
    shipped = Interleaved(1, tuple(taken)).estimate("output_tps")
    places = np.arange(logs.size) - (logs.size - 1) / 2
    by_round = _least_squares(logs.tolist(), sides.astype(float).tolist(), places.tolist())
    return dict(
        zip(ANALYSES, (shipped, by_round, replace(by_round, errors=shipped.errors + by_round.errors)), strict=True)
    )


if __name__ == "__main__":
    main()
