"""What the gate costs: time and memory for 880 prompts, ten times and a hundred times as many.

``compare`` is timed on pairs that are there already, and together with making them of two runs' records; memory is the
highest that Python and numpy allocated meanwhile, as tracemalloc sees it. Beside them: 10,000 resamples of the
conversations of every category, vectorised, for both lengths, which the gate's closed forms make unnecessary.

    python benchmarks/gate_cost.py --out benchmarks/results/gate_cost.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from gate_worlds import CATEGORIES, DRAFT_LENGTH, Counts, World, simulate

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.gate import Pairing, PromptPair, StepCounts, compare

PROMPTS = (880, 8_800, 88_000)
RESAMPLES = 10_000
RESAMPLED_AT_ONCE = 1_000
Record = tuple[str, str, AcceptanceRecord, AcceptanceRecord]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [_row(prompts, options.rounds, options.seed) for prompts in PROMPTS]
    if options.out:
        result = {
            "command": " ".join(["python", "benchmarks/gate_cost.py", *sys.argv[1:]]),
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("pytest-speedbench", "numpy", "scipy")},
            "machine": f"{os.cpu_count()} cores",
            "seed": options.seed,
            "rounds": options.rounds,
            "rows": rows,
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def _row(prompts: int, rounds: int, seed: int) -> dict[str, Any]:
    world = World("nothing changed", prompts=prompts // len(CATEGORIES))
    measured = simulate(world, world.sizes(), 1, np.random.default_rng(seed))
    before, after = measured.before[0, 0], measured.after[0, 0]
    records = [
        (f"{name}-{number:05}", name, _record(one), _record(other))
        for name, *sides in zip(CATEGORIES, before.tolist(), after.tolist(), strict=True)
        for number, (one, other) in enumerate(zip(*sides, strict=True))
    ]
    pairing = _pairing(records)
    row: dict[str, Any] = {"prompts": prompts}
    row |= _measured("compare", lambda: compare(pairing), rounds)
    row |= _measured("compare_with_pairs", lambda: compare(_pairing(records)), rounds)
    if prompts == PROMPTS[0]:
        rng = np.random.default_rng(seed)
        row |= _measured("resampling", lambda: _resampled(before, after, rng), 1)
    print(", ".join(f"{name} {value:,}" for name, value in row.items()), flush=True)
    return row


def _measured(name: str, act: Callable[[], object], rounds: int) -> dict[str, float]:
    """Median CPU time of a call, which others on the machine lengthen least, and its peak of memory."""
    times = []
    for _ in range(rounds):
        started_at = time.process_time()
        act()
        times.append(time.process_time() - started_at)
    tracemalloc.start()
    act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {f"{name}_cpu_s": round(statistics.median(times), 4), f"{name}_peak_mb": round(peak / 1e6, 2)}


def _record(histogram: Sequence[int]) -> AcceptanceRecord:
    return AcceptanceRecord(DRAFT_LENGTH, tuple(histogram), None)


def _pairing(records: Sequence[Record]) -> Pairing:
    return Pairing(
        tuple(
            PromptPair(
                name,
                category,
                StepCounts.of([before], undrafted=False),
                StepCounts.of([after], undrafted=False),
            )
            for name, category, before, after in records
        )
    )


def _resampled(before: Counts, after: Counts, rng: np.random.Generator) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Quantiles of both lengths' log ratios by category; every resample draws as many prompts as there are."""
    found = []
    for one, other in zip(before, after, strict=True):
        per_step = 1.0 + np.arange(DRAFT_LENGTH + 1)
        steps, steps_now = one.sum(axis=-1), other.sum(axis=-1)
        tokens, tokens_now = one @ per_step, other @ per_step
        table = np.stack([tokens / steps, tokens_now / steps_now, steps, tokens, steps_now, tokens_now], axis=-1)
        even = np.full(len(one), 1 / len(one))
        logs = []
        for _ in range(RESAMPLES // RESAMPLED_AT_ONCE):
            weights = rng.multinomial(len(one), even, size=RESAMPLED_AT_ONCE)
            length, length_now, step, token, step_now, token_now = (weights @ table).T
            logs.append([np.log(length_now / length), np.log(token_now * step / (step_now * token))])
        found.append(np.quantile(np.concatenate(logs, axis=1), (0.0005, 0.9995), axis=1))
    return found


if __name__ == "__main__":
    main()
