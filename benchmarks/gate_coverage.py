"""How often the gate's 95 % intervals hold the true change.

Eleven categories of 10, 20 or 80 prompts in the worlds of ``gate_worlds.py``: all prompts decoded anew; 70 % of them
with the same counts; none changed; steps in blocks of four; losses that are exponential with a mean of 8 %, 25 % at
most. The intervals are those of the full set, ``Estimate.interval(0.025)``, of al_macro and al_pooled, over all
categories; their standard error allows for the categories of a run sharing a dispersion. ``below`` and ``above``: how
often the truth is there.

Of unchanged prompts the true change is the one over those prompts, which is none: their interval is a point.

    python benchmarks/gate_coverage.py --out benchmarks/results/gate_coverage.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from importlib import metadata
from math import exp, sqrt
from pathlib import Path
from typing import Any

import gate_worlds as worlds
import numpy as np
from gate_replay import ALL, Prefixes
from gate_worlds import Floats, World, expected_drops, simulate

from pytest_speedbench.gate.effects import Common, Estimate
from pytest_speedbench.gate.figures import LENGTHS

PROMPTS = (10, 20, 80)
ERROR = 0.025
TARGET = (0.94, 0.965)
CHUNK = 100
WORLDS = (
    World("all decoded anew", unchanged=0.0),
    World("70 % unchanged"),
    World("nothing changed", unchanged=1.0),
    World("steps in blocks of 4", unchanged=0.0, block=4),
    World("exponential losses", worlds.exponential, 0.08),
)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="of eleven intervals each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started_at = time.perf_counter()
    rows = []
    print(
        f"{options.runs} runs of {ALL} intervals; nominal {1 - 2 * ERROR:.0%}, wanted {TARGET[0]:.1%} … {TARGET[1]:.1%}"
    )
    for number, world in enumerate(WORLDS):
        for prompts in PROMPTS:
            rng = np.random.default_rng([options.seed, number, prompts])
            for row in _rows(replace(world, prompts=prompts), options.runs, rng):
                rows.append(row)
                print(
                    f"{world.name:22} {prompts:3} {row['metric']:10} {row['coverage']:6.1%}"
                    f" ± {row['standard_error']:.1%}  below {row['below']:5.1%}  above {row['above']:5.1%}"
                    f"{'' if row['on_target'] else '  *'}",
                    flush=True,
                )
    if options.out:
        result = {
            "command": " ".join(["python", "benchmarks/gate_coverage.py", *sys.argv[1:]]),
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("pytest-speedbench", "numpy", "scipy")},
            "seed": options.seed,
            "target": TARGET,
            "wall_s": round(time.perf_counter() - started_at, 1),
            "rows": rows,
        }
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def _rows(world: World, runs: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    sizes = world.sizes()
    truths = 1 - expected_drops(world, sizes, np.random.default_rng(11))[:, :-1]
    counted = [_missed(world, sizes, truths, min(CHUNK, runs - first), rng) for first in range(0, runs, CHUNK)]
    missed = np.concatenate(counted, axis=1)
    return [_row(world, metric, of_metric) for metric, of_metric in zip(LENGTHS, missed, strict=True)]


def _row(world: World, metric: str, missed: Floats) -> dict[str, Any]:
    covered = (missed == 0).mean(axis=1)
    coverage = float(covered.mean())
    return {
        "world": world.name,
        "prompts": world.prompts,
        "metric": metric,
        "intervals": missed.size,
        "coverage": round(coverage, 4),
        "standard_error": round(float(covered.std(ddof=1)) / sqrt(len(covered)), 4),
        "below": round(float((missed < 0).mean()), 4),
        "above": round(float((missed > 0).mean()), 4),
        "on_target": TARGET[0] <= coverage <= TARGET[1],
    }


def _missed(world: World, sizes: Floats, truths: Floats, runs: int, rng: np.random.Generator) -> Floats:
    """−1 where the truth is below the interval, 1 where above, else 0: (metrics, runs, categories)."""
    prefixes = Prefixes(simulate(world, sizes, runs, rng))
    missed = np.zeros((len(LENGTHS), runs, ALL))
    for index, metric in enumerate(LENGTHS):
        for run in range(runs):
            ratios = [prefixes.ratio(run, row, world.prompts, metric) for row in range(ALL)]
            common = Common.of(ratios)
            for row, ratio in enumerate(ratios):
                estimate, truth = Estimate.of(ratio, common), truths[index, row]
                if ratio.changed:
                    lower, upper = estimate.interval(ERROR)
                else:
                    lower = upper = exp(estimate.log_ratio)
                missed[index, run, row] = float(truth > upper) - float(truth < lower)
    return missed


if __name__ == "__main__":
    main()
