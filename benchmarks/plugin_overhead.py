"""What installed plugins cost an unrelated project at ``pytest --collect-only``.

Runs pytest in an empty project of 50 tests with all plugins blocked but one, in turn, many times, and prints each
plugin's median difference to a run without any. Peers are measured in the same run if they are installed:

    pip install pytest-benchmark pytest-xdist syrupy
    python benchmarks/plugin_overhead.py --rounds 40 --out benchmarks/results/plugin_overhead.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

PEERS = ("speedbench", "benchmark", "syrupy", "xdist")
BUDGET_MS = 5.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    installed = {point.name: point.value for point in metadata.entry_points(group="pytest11")}
    plugins = [name for name in PEERS if name in installed]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_unrelated.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(50)))
        times = _measure(Path(folder), [None, *plugins], options.rounds, installed)
    print(f"median of {options.rounds} interleaved rounds; without any plugin {statistics.median(times[None]):.1f} ms")
    rows = {name: _difference(times[None], times[name]) for name in plugins}
    for name, (median, low, high) in rows.items():
        print(f"{name:12} {median:+7.1f} ms  (quartiles {low:+.1f} … {high:+.1f})")
    if options.out:
        result = {
            "command": " ".join(["python", "benchmarks/plugin_overhead.py", *sys.argv[1:]]),
            "python": platform.python_version(),
            "pytest": metadata.version("pytest"),
            "budget_ms": BUDGET_MS,
            "without_any_ms": round(statistics.median(times[None]), 2),
            "added_ms": {name: dict(zip(("median", "q25", "q75"), row, strict=True)) for name, row in rows.items()},
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def _measure(
    folder: Path, variants: list[str | None], rounds: int, installed: dict[str, str]
) -> dict[str | None, list[float]]:
    times: dict[str | None, list[float]] = {variant: [] for variant in variants}
    for round_number in range(-2, rounds):
        for variant in variants:
            blocked = [f"-pno:{name}" for name in installed if name != variant]
            command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-pno:cacheprovider", *blocked]
            started_at = time.perf_counter()
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            if round_number >= 0:
                times[variant].append((time.perf_counter() - started_at) * 1000)
    return times


def _difference(without: list[float], with_plugin: list[float]) -> tuple[float, float, float]:
    differences = [b - a for a, b in zip(without, with_plugin, strict=True)]
    low, median, high = statistics.quantiles(differences, n=4)
    return round(median, 2), round(low, 2), round(high, 2)


if __name__ == "__main__":
    main()
