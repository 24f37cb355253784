"""What moves a whole run, in simulated repeated runs, and what is said of a run that is noisier than those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.calibration import Calibration
from pytest_speedbench.gate import GatePolicy, compare, pair_up
from pytest_speedbench.gate.noise import calibration_notes, run_noise, shared_noise
from pytest_speedbench.measure.run import Run
from tests.unit.gate.pairs import geometric, run_of

RUNS, PROMPTS, STEPS, CATEGORIES = 5, 20, 400, ("a", "b", "c")


def runs_with(shift: float, rng: np.random.Generator, runs: int = RUNS) -> list[Run]:
    """Runs of the same prompts, each redrawn; every run moves the acceptance of all prompts by its own amount."""
    rates = {name: rng.beta(12, 8, size=PROMPTS).clip(0.3, 0.85) for name in CATEGORIES}
    measured = []
    for _ in range(runs):
        moved = shift * rng.standard_normal()
        measured.append(
            run_of({name: [geometric(rng, rate + moved, STEPS) for rate in rates[name]] for name in CATEGORIES})
        )
    return measured


def calibrated(runs: Sequence[Run]) -> Baseline:
    baseline = Baseline.from_run(runs[0], date="2026-03-01")
    return msgspec.structs.replace(baseline, calibration=Calibration.of_runs(runs, "2026-03-01"))


def test_an_uncalibrated_baseline_knows_no_noise() -> None:
    (one,) = runs_with(0.0, np.random.default_rng(1), runs=1)
    assert run_noise(Baseline.from_run(one, date="2026-03-01"), undrafted=False) == {}
    assert shared_noise({}, "a", "al_macro") is None


def test_every_row_and_figure_has_its_noise() -> None:
    noise = run_noise(calibrated(runs_with(0.02, np.random.default_rng(1))), undrafted=False)
    assert noise.keys() == {*CATEGORIES, "overall"}
    for figures in noise.values():
        assert figures.keys() == {"al_macro", "al_pooled", "ar1", "ar2", "ar3"}
        assert all(found.freedom == RUNS - 1 and found.variance >= 0 for found in figures.values())
    assert noise["a"] == noise["b"] == noise["c"]


def test_equal_runs_have_none() -> None:
    (one,) = runs_with(0.0, np.random.default_rng(1), runs=1)
    noise = run_noise(calibrated([one] * 3), undrafted=False)
    assert {found.variance for figures in noise.values() for found in figures.values()} == {0.0}


@pytest.mark.parametrize("metric", ["al_macro", "ar1"])
def test_a_shift_that_all_prompts_share_is_found(metric: str) -> None:
    rng = np.random.default_rng(7)
    found = [run_noise(calibrated(runs_with(0.03, rng)), undrafted=False) for _ in range(8)]
    # At a rate of about 0.6, a step of 0.03 moves 1 + p + p² + p³ by 4.3 % and p itself by 5 %.
    expected = (0.05 if metric == "ar1" else 0.043) ** 2 * (1 + 1 / RUNS)
    assert np.mean([noise["overall"][metric].variance for noise in found]) == pytest.approx(expected, rel=0.5)
    assert np.mean([noise["a"][metric].variance for noise in found]) == pytest.approx(expected, rel=0.5)


def test_prompts_that_scatter_by_themselves_are_no_noise_of_the_run() -> None:
    rng = np.random.default_rng(7)
    found = [run_noise(calibrated(runs_with(0.0, rng)), undrafted=False)["overall"]["al_macro"] for _ in range(8)]
    spread = 0.4**2 / (PROMPTS * len(CATEGORIES) * STEPS) * 6  # of the sum over prompts, generously
    assert np.mean([noise.variance for noise in found]) < spread
    assert any(noise.variance == 0 for noise in found)


def test_the_gate_is_less_sure_where_runs_move_as_a_whole() -> None:
    rng = np.random.default_rng(3)
    *before, now = runs_with(0.03, rng, runs=RUNS + 1)
    alone, repeated = Baseline.from_run(before[0], date="2026-03-01"), calibrated(before)
    intervals = [compare(pair_up(one, now)).rows[0].changes[0] for one in (alone, repeated)]
    widths = [change.upper - change.lower for change in intervals if change.upper and change.lower]
    assert widths[1] > 1.5 * widths[0]


def test_noise_of_whole_runs_raises_no_alarm_once_it_is_calibrated() -> None:
    rng = np.random.default_rng(5)
    policy = GatePolicy(family_error=0.05)
    alone = repeated = 0
    for _ in range(12):
        *before, now = runs_with(0.03, rng, runs=RUNS + 1)
        alone += compare(pair_up(Baseline.from_run(before[0], date="2026-03-01"), now), policy).failed
        repeated += compare(pair_up(calibrated(before), now), policy).failed
    assert alone >= 4
    assert repeated <= 1


def with_other_outputs(run: Run, changed: int) -> Run:
    """The first prompts answer something else."""
    rows = [
        replace(c, turns=(replace(c.turns[0], output_ids=(7, *c.turns[0].output_ids[1:])),)) if i < changed else c
        for i, c in enumerate(run.conversations)
    ]
    return replace(run, conversations=tuple(rows))


@pytest.mark.parametrize(("changed", "flagged"), [(0, False), (3, False), (40, True)])
def test_a_run_that_is_noisier_than_its_calibration_is_flagged(changed: int, flagged: bool) -> None:
    (one,) = runs_with(0.0, np.random.default_rng(1), runs=1)
    baseline = calibrated([one, with_other_outputs(one, 2), with_other_outputs(one, 1)])
    notes = calibration_notes(baseline, [with_other_outputs(one, changed)])
    assert bool(notes) == flagged
    if notes:
        assert notes[0].startswith(
            "This run is noisier than the baseline's calibration: 40 of 60 outputs differ from the baseline's, and "
            "2.5% did between the calibration's own runs."
        )


def test_a_noisy_calibration_expects_noise() -> None:
    (one,) = runs_with(0.0, np.random.default_rng(1), runs=1)
    noisy = calibrated([one, with_other_outputs(one, 30), with_other_outputs(one, 26)])
    assert calibration_notes(noisy, [with_other_outputs(one, 34)]) == ()
    assert calibration_notes(noisy, [with_other_outputs(one, 60)]) != ()
    always = calibrated([one, with_other_outputs(one, 60)])
    assert calibration_notes(always, [with_other_outputs(one, 60)]) == ()


def test_another_run_is_no_calibration() -> None:
    (one,) = runs_with(0.0, np.random.default_rng(1), runs=1)
    assert calibration_notes(one, [one]) == ()
