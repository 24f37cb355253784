"""How often the gate's test, and the tests it was chosen over, call a regression that is not there.

The simulated world is one category exactly at the boundary: the baseline is 1 for every prompt and the candidate is 1
plus noise of mean zero, so that the residuals of the ratio are that noise and every rejection is false. The noise is
normal, heavy-tailed, skewed to either side, or that of most prompts losing a little while a tenth gains much. Printed
is the rate of rejections divided by the nominal one-sided 0.001, which is about what Holm's correction first leaves
each of a dozen tests. 1 is exact, above 1 calls too often.

``larger p`` is the shipped ``RatioTest``; Student's and Hall's alone are its two parts. Bootstrap-t and sign flips take
3,999 resamples, so that their p-values reach 0.001 exactly.

    python benchmarks/gate_level.py --out benchmarks/results/gate_level.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib import metadata
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from pytest_speedbench.gate.statistics import RatioTest, _hall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]

NOMINAL = 0.001
RESAMPLES = 3999
CHUNK = 500
NOISE = 0.01
"""The noise as a share of the acceptance length. The tests do not depend on it."""
TESTS = ("Student", "Hall", "larger p", "bootstrap-t", "sign flips")


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started_at = time.perf_counter()
    error = sqrt(1 / (options.repetitions * NOMINAL))
    print(f"rejections / nominal {NOMINAL}, {options.repetitions} repetitions; 1.0 has a standard error of {error:.2f}")
    print(f"{'residuals':28} {'n':>3}" + "".join(f"{name:>13}" for name in TESTS))
    rows = []
    for number, (shape, prompts, draw) in enumerate(SHAPES):
        rng = np.random.default_rng([options.seed, number])
        rates = _rejections(draw, prompts, options.repetitions, rng)
        rows.append({"residuals": shape, "prompts": prompts, "rejections_over_nominal": rates})
        print(f"{shape:28} {prompts:>3}" + "".join(f"{rates[name]:13.1f}" for name in TESTS), flush=True)
    if options.out:
        result = {
            "command": " ".join(["python", "benchmarks/gate_level.py", *sys.argv[1:]]),
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
            "scipy": metadata.version("scipy"),
            "seed": options.seed,
            "repetitions": options.repetitions,
            "resamples": RESAMPLES,
            "nominal": NOMINAL,
            "standard_error_at_1": round(error, 3),
            "wall_s": round(time.perf_counter() - started_at, 1),
            "rows": rows,
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def _normal(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return rng.normal(size=size)


def _heavy_tailed(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return rng.standard_t(3, size=size)


def _right_skewed(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return rng.exponential(size=size) - 1


def _left_skewed(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return 1 - rng.exponential(size=size)


def _few_gain_much(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    gains = np.where(rng.random(size) < 0.1, rng.normal(0.2, 0.05, size), 0.0)
    return gains + rng.normal(-0.02, 0.02, size)


SHAPES: tuple[tuple[str, int, Draw], ...] = (
    ("normal", 16, _normal),
    ("t with 3 degrees of freedom", 16, _heavy_tailed),
    ("exponential, right-skewed", 16, _right_skewed),
    ("normal", 80, _normal),
    ("exponential, right-skewed", 80, _right_skewed),
    ("exponential, left-skewed", 80, _left_skewed),
    ("10 % of prompts gain much", 80, _few_gain_much),
)


def _rejections(draw: Draw, prompts: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Per test, its rate of rejections over the nominal one."""
    rejected = dict.fromkeys(TESTS, 0)
    for start in range(0, repetitions, CHUNK):
        noise = draw(rng, (min(CHUNK, repetitions - start), prompts))
        p_values = {
            **dict(zip(TESTS[:3], _closed_forms(noise), strict=True)),
            "bootstrap-t": _bootstrap_t(noise, rng),
            "sign flips": _sign_flips(noise, rng),
        }
        for name, values in p_values.items():
            # A resampled p-value of exactly the nominal level rejects.
            rejected[name] += int((values <= NOMINAL + 1e-12).sum())
    return {name: round(count / repetitions / NOMINAL, 2) for name, count in rejected.items()}


def _closed_forms(noise: Floats) -> Iterator[Floats]:
    """P-values of Student's t, of Hall's, and of the shipped test, for every row."""
    prompts = noise.shape[1]
    baseline = np.ones(prompts)
    tests = [RatioTest.of(baseline, 1 + NOISE * row) for row in noise]
    u = [(test.ratio - 1) / test.spread for test in tests]
    corrected = [_hall(value, test.skewness, prompts) for value, test in zip(u, tests, strict=True)]
    yield student.cdf(np.sqrt(prompts) * np.asarray(u), prompts - 1)
    yield student.cdf(np.sqrt(prompts) * np.asarray(corrected), prompts - 1)
    yield np.asarray([test.p_value(1.0) for test in tests])


def _bootstrap_t(noise: Floats, rng: np.random.Generator) -> Floats:
    """Studentised means of resampled prompts, as low as the observed one. Rows share their resamples."""
    prompts = noise.shape[1]
    mean = noise.mean(axis=1, keepdims=True)
    observed = (mean / noise.std(axis=1, keepdims=True)).astype(np.float32)
    centred = (noise - mean).astype(np.float32)
    weights = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=RESAMPLES).T.astype(np.float32) / prompts
    means = centred @ weights
    variances = np.maximum((centred**2) @ weights - means**2, 1e-12)
    as_low: Floats = (means <= observed * np.sqrt(variances)).sum(axis=1)
    return (as_low + 1) / (RESAMPLES + 1)


def _sign_flips(noise: Floats, rng: np.random.Generator) -> Floats:
    """Sums under random signs, as low as the observed one. Rows share their signs."""
    single = noise.astype(np.float32)
    signs = 2 * rng.integers(2, size=(noise.shape[1], RESAMPLES)).astype(np.float32) - 1
    as_low: Floats = (single @ signs <= single.sum(axis=1, keepdims=True) + 1e-6).sum(axis=1)
    return (as_low + 1) / (RESAMPLES + 1)


if __name__ == "__main__":
    main()
