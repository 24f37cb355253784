"""What rounding may turn over, and how much of an output follows."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_speedbench.numerics import Exposure, exposure, near_tie_limit


def test_the_coarsest_dtype_counts() -> None:
    assert near_tie_limit("bfloat16") == 0.25
    assert near_tie_limit("float16") == 2.0**-5
    assert near_tie_limit("float32", "bfloat16") == near_tie_limit("bfloat16", "float32") == 0.25
    assert near_tie_limit("float32") == 1e-4
    assert near_tie_limit("float32", None) is None
    assert near_tie_limit("int4") is None
    assert near_tie_limit() is None


def test_what_is_not_known_is_absent() -> None:
    assert exposure(None, 0.25) is None
    assert exposure((1.0, 2.0), None) is None


def test_an_output_is_exposed_from_its_near_ties_on() -> None:
    assert exposure((1.0, 0.25, 3.0), 0.25) == Exposure(0.0, 1.0)
    assert exposure((1.0, 1.0, 0.0, 1.0), 0.5) == Exposure(0.5 * 2 / 4, 0.5)
    assert exposure((0.0, 1.0), 0.5) == Exposure(0.5, 0.5)
    assert exposure((1.0, -9.0), 0.5) == Exposure(0.5, 0.0), "a token that the target does not prefer at all"
    twice = exposure((0.25, 0.0), 0.5)
    assert twice is not None
    assert twice.share == pytest.approx(0.25 + 0.75 * 0.5 / 2)
    assert twice.unchanged == pytest.approx(0.75 * 0.5)


@pytest.mark.parametrize("shape", ["uniform", "triangular", "normal"])
def test_rounding_of_any_even_shape_turns_over_no_more_than_that(shape: str) -> None:
    rng, limit, draws = np.random.default_rng(5), 0.25, 20_000
    margins = rng.exponential(0.4, 40)
    noise = {
        "uniform": rng.uniform(-limit, limit, (draws, 40)),
        "triangular": rng.triangular(-limit, 0, limit, (draws, 40)),
        "normal": np.clip(rng.normal(0, limit / 3, (draws, 40)), -limit, limit),
    }[shape]
    turned = noise > margins
    first = np.where(turned.any(axis=1), turned.argmax(axis=1), 40)
    bound = exposure(tuple(margins), limit)
    assert bound is not None
    assert (40 - first).mean() / 40 <= bound.share + 0.01
    assert (first == 40).mean() >= bound.unchanged - 0.01
