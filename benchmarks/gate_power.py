"""How often the whole gate fails a healthy run, and how often it finds a drafter that got worse.

The simulated world is eleven categories. A prompt's draft tokens are each accepted with a probability of its own, from
Beta(6, 4), until the first one is not; drafts have three tokens. Outputs are log-normally long (median as given, sigma
0.8, clipped to 8 tokens and four medians). Both sides draw their steps independently: the worst case, as if a change
had altered every output. Damage lowers the acceptance probabilities of a category so that its expected acceptance
length drops by a given share; where it is uneven, a tenth of the prompts gains 30 % in acceptance and the others lose
so much that the category drops by the same share, which is what fools a plain t test.
The lengths go through ``PromptPair`` and the shipped ``compare``, and its verdicts are counted.

False alarms are runs that fail although every category's expected drop is within the tolerance of 1 %.

    python benchmarks/gate_power.py --out benchmarks/results/gate_power.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import beta

from pytest_speedbench.gate import GatePolicy, GateResult, Pairing, PromptPair, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CATEGORIES = tuple("abcdefghijk")
ONE = "d"
DRAFT_TOKENS = 3
SIZES = ((16, 128), (16, 400), (80, 128), (80, 400))
DROPS_IN_ONE = (0.05, 0.1, 0.2)
DROPS_EVERYWHERE = (0.03, 0.05)
TOLERANCES = (0.0, 0.01, 0.02)
BOUNDARY = 0.01
DETECTION_SHARE = 2
"""Detection needs fewer repetitions than rare false alarms: this part of them."""
TOLERANCE_FACTOR = 3
"""Rates near 1 that are compared with each other need more: so many times the repetitions."""
GAINING, GAIN = 0.1, 1.3
MOST_ACCEPTANCE = 0.99


@dataclass(frozen=True, slots=True)
class World:
    """Prompts per category, the median output length, and the expected drop of each damaged category."""

    prompts: int
    tokens: int
    damage: Mapping[str, float] = field(default_factory=dict)
    uneven: bool = False


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started_at = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    few = max(1, options.repetitions // DETECTION_SHARE)
    many = TOLERANCE_FACTOR * options.repetitions
    print(f"{len(CATEGORIES)} categories; runs a row: {options.repetitions}, detection {few}, by tolerance {many}")
    false_alarms = [row for size in SIZES for row in _false_alarms(*size, options.repetitions, rng)]
    detection = [row for size in SIZES for row in _detection(*size, few, rng)]
    by_tolerance = list(_by_tolerance(*SIZES[-1], many, rng))
    if options.out:
        result = {
            "command": " ".join(["python", "benchmarks/gate_power.py", *sys.argv[1:]]),
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
            "scipy": metadata.version("scipy"),
            "seed": options.seed,
            "repetitions": {"false_alarms": options.repetitions, "detection": few, "by_tolerance": many},
            "wall_s": round(time.perf_counter() - started_at, 1),
            "false_alarms": false_alarms,
            "detection": detection,
            "by_tolerance": by_tolerance,
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def _false_alarms(prompts: int, tokens: int, runs: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    everywhere = dict.fromkeys(CATEGORIES, BOUNDARY)
    worlds = {
        "no change": World(prompts, tokens),
        f"{BOUNDARY:.0%} everywhere": World(prompts, tokens, everywhere),
        f"{BOUNDARY:.0%} everywhere, uneven": World(prompts, tokens, everywhere, uneven=True),
    }
    for name, world in worlds.items():
        results = [compare(_measured(world, rng)) for _ in range(runs)]
        rows = [row for result in results for row in result.rows]
        drops = [row.detectable_drop for row in rows if row.detectable_drop is not None]
        yield _printed(
            {
                "prompts": prompts,
                "tokens": tokens,
                "damage": name,
                "failed": _share(results, lambda result: result.failed),
                "categories_cleared": round(fmean(row.verdict is Verdict.NO_REGRESSION for row in rows), 4),
                "detectable_drop": round(fmean(drops), 4),
            }
        )


def _detection(prompts: int, tokens: int, runs: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    for drop in DROPS_IN_ONE:
        world = World(prompts, tokens, {ONE: drop})
        results = [compare(_measured(world, rng)) for _ in range(runs)]
        yield _printed(
            {
                "prompts": prompts,
                "tokens": tokens,
                "damage": f"{drop:.0%} in one category",
                "found_there": _share(results, lambda result: ONE in _regressed(result)),
                "another_accused": _share(results, lambda result: bool(_regressed(result) - {ONE})),
            }
        )
    for drop in DROPS_EVERYWHERE:
        world = World(prompts, tokens, dict.fromkeys(CATEGORIES, drop))
        results = [compare(_measured(world, rng)) for _ in range(runs)]
        yield _printed(
            {
                "prompts": prompts,
                "tokens": tokens,
                "damage": f"{drop:.0%} everywhere",
                "failed": _share(results, lambda result: result.failed),
                "any_category_found": _share(results, lambda result: bool(_regressed(result))),
            }
        )


def _by_tolerance(prompts: int, tokens: int, runs: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    drop = DROPS_IN_ONE[0]
    pairings = [_measured(World(prompts, tokens, {ONE: drop}), rng) for _ in range(runs)]
    for tolerance in TOLERANCES:
        results = [compare(pairing, GatePolicy(tolerance=tolerance)) for pairing in pairings]
        yield _printed(
            {
                "prompts": prompts,
                "tokens": tokens,
                "damage": f"{drop:.0%} in one category",
                "tolerance": tolerance,
                "found_there": _share(results, lambda result: ONE in _regressed(result)),
            }
        )


def _regressed(result: GateResult) -> set[str]:
    return {row.name for row in result.rows if row.verdict is Verdict.REGRESSION}


def _share(results: list[GateResult], holds: Callable[[GateResult], bool]) -> float:
    return round(fmean(holds(result) for result in results), 4)


def _printed(row: dict[str, object]) -> dict[str, object]:
    shares = [f"{name} {value:.1%}" for name, value in row.items() if isinstance(value, float)]
    print(f"{row['prompts']:>3} prompts x {row['tokens']:>3} tokens, {row['damage']}: {', '.join(shares)}", flush=True)
    return row


def _measured(world: World, rng: np.random.Generator) -> Pairing:
    """One run against its baseline."""
    pairs: list[PromptPair] = []
    for category in CATEGORIES:
        before = rng.beta(6, 4, world.prompts)
        after = before
        if category in world.damage:
            after = before * (1 - _loss(world.damage[category], world.uneven))
            if world.uneven:
                gains = rng.random(world.prompts) < GAINING
                after = np.where(gains, np.minimum(GAIN * before, MOST_ACCEPTANCE), after)
        tokens = np.clip(rng.lognormal(np.log(world.tokens), 0.8, world.prompts), 8, 4 * world.tokens)
        lengths = zip(_measured_al(before, tokens, rng), _measured_al(after, tokens, rng), strict=True)
        pairs += [PromptPair(f"{category}{i}", category, float(x), float(y)) for i, (x, y) in enumerate(lengths)]
    return Pairing(tuple(pairs))


def _expected_al(acceptance: Floats) -> Floats:
    """Tokens per step: accepted draft tokens and the one the target adds."""
    expected: Floats = (acceptance[..., None] ** np.arange(DRAFT_TOKENS + 1)).sum(axis=-1)
    return expected


def _measured_al(acceptance: Floats, tokens: Floats, rng: np.random.Generator) -> Floats:
    """The mean over as many steps as the output takes, at least three."""
    steps = np.maximum((tokens / _expected_al(acceptance)).astype(np.int64), 3)
    rejected_after = [(1 - acceptance) * acceptance**accepted for accepted in range(DRAFT_TOKENS)]
    histogram = rng.multinomial(steps, np.stack([*rejected_after, acceptance**DRAFT_TOKENS], axis=-1))
    measured: Floats = 1 + (histogram * np.arange(DRAFT_TOKENS + 1)).sum(axis=-1) / steps
    return measured


@lru_cache
def _loss(drop: float, uneven: bool) -> float:
    """The share of its acceptance probability a prompt loses for the expected length to drop so, by bisection."""
    population: Floats = beta.ppf((np.arange(20_000) + 0.5) / 20_000, 6, 4)
    wanted = (1 - drop) * _expected_al(population).mean()
    gained = _expected_al(np.minimum(GAIN * population, MOST_ACCEPTANCE)).mean()
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        length = _expected_al(population * (1 - middle)).mean()
        if uneven:
            length = GAINING * gained + (1 - GAINING) * length
        low, high = (middle, high) if length > wanted else (low, middle)
    return low


if __name__ == "__main__":
    main()
