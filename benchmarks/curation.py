"""What a diverse selection costs and is worth: 80 of 20,000 candidates, small categories solved exactly, ``mini``.

The candidates' vectors are Gaussian directions around 60 Gaussian centres with a common part: x = 0.5 c + 0.8 m + e,
where c is drawn once, m for each centre and e for each candidate, all of independent standard normals; every pair is
thus alike to some degree, those of one centre more. The selection runs in a process of its own, from a .npy file, whose
highest resident memory is what Linux says; pages of the file that it maps count in it. The load average tells what else
ran.

    python benchmarks/curation.py --out benchmarks/results/curation.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_speedbench.curation import Embeddings, curate, open_embeddings, tfidf
from pytest_speedbench.curation.embeddings import ArrayEmbeddings
from pytest_speedbench.curation.selection import STARTS, choose
from pytest_speedbench.curation.vectors import average_similarity, lattice_of, unit_rows
from pytest_speedbench.splits import Prompt, Split, load_split

CENTRES = 60
SMALL = ((16, 5, 8), (20, 6, 16), (24, 5, 32))
"""Candidates, chosen and dimensions of the categories that are solved by trying every selection."""

Array = npt.NDArray[np.float64]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidates", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=1_536)
    parser.add_argument("--choose", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", type=int, default=100, help="small categories of each size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_timed(options.child, options.choose)))
        return
    result = {
        "command": " ".join(["python", "benchmarks/curation.py", *sys.argv[1:]]),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("pytest-speedbench", "numpy", "scipy", "scikit-learn")},
        "machine": f"{os.cpu_count()} cores",
        "seed": options.seed,
        "large": _large(options),
        "small": [_small(*size, options.small, options.seed) for size in SMALL],
        "mini": _mini(),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def _large(options: argparse.Namespace) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        vectors = _directions(np.random.default_rng(options.seed), options.candidates, options.dimensions, CENTRES)
        np.save(file, vectors.astype(np.float32))
        del vectors
        runs = [_in_a_process(file, options.choose) for _ in range(options.rounds)]
        embeddings = open_embeddings(file, _split(options.candidates))
        qualities = _qualities(embeddings, options.candidates, options.choose, options.seed)
    if any(run["selected"] != runs[0]["selected"] for run in runs):
        raise SystemExit("two runs selected differently")
    row = {
        "candidates": options.candidates,
        "dimensions": options.dimensions,
        "chosen": options.choose,
        "embeddings_mb": round(options.candidates * options.dimensions * 4 / 1e6, 1),
        "wall_s": [round(run["wall_s"], 2) for run in runs],
        "cpu_s": [round(run["cpu_s"], 2) for run in runs],
        "load_average": [round(run["load_average"], 1) for run in runs],
        "peak_rss_mb": [round(run["peak_rss_mb"]) for run in runs],
        "rss_before_mb": [round(run["rss_before_mb"]) for run in runs],
        "similarity": qualities,
    }
    print(json.dumps(row))
    return row


def _in_a_process(file: Path, number: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", str(file), "--choose", str(number)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _timed(file: Path, number: int) -> dict[str, Any]:
    split = _split(len(np.load(file, mmap_mode="r")))
    before = _peak_rss_mb()
    start, start_cpu = time.perf_counter(), time.process_time()
    result = curate(split, open_embeddings(file, split), number)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "load_average": os.getloadavg()[0],
        "rss_before_mb": before,
        "peak_rss_mb": _peak_rss_mb(),
        "selected": result.categories[0].selected,
    }


def _qualities(embeddings: Embeddings, candidates: int, number: int, seed: int) -> dict[str, float]:
    rows, names = range(candidates), [""] * candidates
    lattice, of_all = lattice_of(embeddings, rows, names)

    def average(chosen: Any) -> float:
        return average_similarity(unit_rows(embeddings, chosen, [""] * number))

    rng = np.random.default_rng(seed)
    drawn = [average(rng.choice(candidates, number, replace=False)) for _ in range(100)]
    figures = {
        "all": of_all,
        "random_mean": float(np.mean(drawn)),
        "random_lowest_of_100": min(drawn),
        "greedy": average(choose(lattice, number, max_swaps=0, starts=1).rows),
        "greedy_and_swaps": average(choose(lattice, number, starts=1).rows),
        f"best_of_{STARTS}_starts": average(choose(lattice, number).rows),
    }
    return {name: round(figure, 6) for name, figure in figures.items()}


def _small(candidates: int, number: int, dimensions: int, times: int, seed: int) -> dict[str, Any]:
    """How far selections are above the optimum, as shares of the way from it to a random selection."""
    rng = np.random.default_rng([seed, candidates])
    everything = np.array(list(combinations(range(candidates), number)))
    excess: dict[str, list[float]] = {"greedy": [], "greedy_and_swaps": [], f"best_of_{STARTS}_starts": []}
    for _ in range(times):
        vectors = _directions(rng, candidates, dimensions, 4)
        embeddings = ArrayEmbeddings(vectors, "")
        lattice, mean = lattice_of(embeddings, range(candidates), [""] * candidates)
        units = np.asarray(unit_rows(embeddings, range(candidates), [""] * candidates))
        totals = np.square(units[everything].sum(axis=1)).sum(axis=1)
        optimum = (float(totals.min()) - number) / (number * (number - 1))
        for name, options in zip(excess, ({"max_swaps": 0, "starts": 1}, {"starts": 1}, {}), strict=True):
            found = average_similarity(units[list(choose(lattice, number, **options).rows)])
            excess[name].append((found - optimum) / (mean - optimum))
    row = {
        "candidates": candidates,
        "chosen": number,
        "dimensions": dimensions,
        "categories": times,
        **{
            name: {
                "optimal": round(float(np.mean(np.array(values) < 1e-9)), 3),
                "mean_excess": round(float(np.mean(values)), 4),
                "highest_excess": round(max(values), 4),
            }
            for name, values in excess.items()
        },
    }
    print(json.dumps(row))
    return row


def _mini() -> dict[str, Any]:
    """Half of each category of the bundled split, by its words."""
    mini = load_split("mini")
    start = time.perf_counter()
    result = curate(mini, tfidf(mini), 8)
    row = {
        "embeddings": result.embeddings,
        "chosen": result.per_category,
        "wall_s": round(time.perf_counter() - start, 2),
        "categories": {
            category.name: {
                "all": round(category.similarity.candidates, 4),
                "random_lowest_of_100": round(category.similarity.random_lowest, 4) + 0.0,
                "selected": round(category.similarity.selected, 4),
            }
            for category in result.categories
        },
    }
    print(json.dumps(row))
    return row


def _directions(rng: np.random.Generator, rows: int, dimensions: int, centres: int) -> Array:
    common = rng.standard_normal(dimensions)
    means = rng.standard_normal((centres, dimensions))
    directions: Array = 0.5 * common + 0.8 * means[rng.integers(0, centres, rows)]
    directions += rng.standard_normal((rows, dimensions))
    return directions


def _split(rows: int) -> Split:
    prompts = tuple(Prompt(f"q{row:05d}", "one", "", (f"Prompt {row}",)) for row in range(rows))
    return Split("candidates", prompts, "", rows)


def _peak_rss_mb() -> float:
    # The peak that getrusage tells begins with that of the process that started this one.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("this system does not tell its peak memory in /proc/self/status")
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
