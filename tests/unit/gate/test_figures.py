from __future__ import annotations

from math import exp, log
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.gate.effects import LogRatio, Sums
from pytest_speedbench.gate.figures import paired_change, rate_metric, sums, unpaired_change
from pytest_speedbench.metrics.acceptance import AcceptanceFigures
from tests.unit.gate.pairs import Values, counts_of, even, record, redrawn

METRICS = ["al_macro", "al_pooled", "ar1", "ar2", "ar3"]
Side = list[AcceptanceRecord]

some_steps = st.tuples(*[st.integers(0, 30)] * 3, st.integers(1, 30)).map(lambda counts: record(*counts))
both_sides = st.lists(st.tuples(some_steps, some_steps), min_size=2, max_size=15).map(
    lambda rows: ([before for before, _ in rows], [after for _, after in rows])
)
metrics = st.sampled_from(METRICS)


def figure(metric: str, side: Side) -> float:
    """As the report of a measurement states it."""
    figures = AcceptanceFigures.of(side)
    value = figures.conditional_rates[int(metric[2:]) - 1] if metric[:2] == "ar" else getattr(figures, metric)
    assert isinstance(value, float)
    return value


def change(metric: str, before: Side, after: Side) -> LogRatio:
    return paired_change(metric, counts_of(before), counts_of(after))


@given(metrics, both_sides)
def test_the_gate_compares_what_the_report_states(metric: str, sides: tuple[Side, Side]) -> None:
    found = change(metric, *sides)
    assert found.baseline == pytest.approx(figure(metric, sides[0]))
    assert found.candidate == pytest.approx(figure(metric, sides[1]))
    assert exp(found.log_ratio) == pytest.approx(found.candidate / found.baseline)
    assert found.prompts == len(sides[0])


@given(metrics, st.lists(some_steps, min_size=1, max_size=15))
def test_influence_sums_to_nothing(metric: str, side: Side) -> None:
    assert sums(metric, counts_of(side)).influence.sum() == pytest.approx(0, abs=1e-12)


@settings(max_examples=50)
@given(metrics, both_sides, st.randoms(use_true_random=False))
def test_the_order_of_the_prompts_does_not_matter(metric: str, sides: tuple[Side, Side], shuffle: Random) -> None:
    order = list(range(len(sides[0])))
    shuffle.shuffle(order)
    now, then = change(metric, *sides), change(metric, [sides[0][i] for i in order], [sides[1][i] for i in order])
    for name in LogRatio.__slots__:
        assert getattr(now, name) == pytest.approx(getattr(then, name), abs=1e-9)


@given(metrics, both_sides)
def test_swapping_the_sides_turns_the_sign(metric: str, sides: tuple[Side, Side]) -> None:
    now, swapped = change(metric, *sides), change(metric, *sides[::-1])
    assert swapped.log_ratio == pytest.approx(-now.log_ratio)
    assert swapped.skewness == pytest.approx(-now.skewness, abs=1e-6)
    for name in ("own", "freedom", "implied", "implied_by_all", "changed"):
        assert getattr(swapped, name) == pytest.approx(getattr(now, name))


@given(both_sides, st.sampled_from([0.25, 2.0, 8.0]))
def test_scale_does_not_matter(sides: tuple[Side, Side], scale: float) -> None:
    before, after = (sums("al_macro", counts_of(side)) for side in sides)
    changed = np.ones(len(sides[0]), np.bool_)
    now = LogRatio.paired(before, after, changed)
    wide = [Sums(side.over * scale, side.under, side.scatter * scale**2) for side in (before, after)]
    larger = LogRatio.paired(wide[0], wide[1], changed)
    assert larger.log_ratio == pytest.approx(now.log_ratio, abs=1e-12)
    for name in ("own", "freedom", "skewness", "implied", "implied_by_all"):
        assert getattr(larger, name) == pytest.approx(getattr(now, name), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_the_variance_is_the_jackknifes(metric: str) -> None:
    before, after = redrawn(np.random.default_rng(3), 120)

    def without(i: int) -> float:
        return log(figure(metric, after[:i] + after[i + 1 :]) / figure(metric, before[:i] + before[i + 1 :]))

    left = np.array([without(i) for i in range(len(before))])
    n = len(before)
    jackknife = (n - 1) / n * ((left - left.mean()) ** 2).sum()
    assert change(metric, before, after).own == pytest.approx(jackknife, rel=0.03)


@pytest.mark.parametrize("metric", METRICS)
def test_the_steps_imply_the_variance_of_prompts_that_were_decoded_anew(metric: str) -> None:
    rng = np.random.default_rng(5)
    found = [change(metric, *redrawn(rng, 40)) for _ in range(200)]
    assert np.mean([one.dispersion for one in found]) == pytest.approx(1, abs=0.05)
    seen = float(np.var([one.log_ratio for one in found]))
    implied = float(np.mean([one.implied for one in found]))
    assert 0.75 < seen / implied < 1.3  # 200 repetitions know a variance to ± 10 %


def test_unchanged_prompts_scatter_only_in_what_all_would() -> None:
    before, after = redrawn(np.random.default_rng(1), 40)
    half = change("al_macro", before, [*after[:20], *before[20:]])
    whole = change("al_macro", before, after)
    assert (half.changed, whole.changed) == (20, 40)
    assert half.implied is not None
    assert half.implied < 0.7 * half.implied_by_all
    assert whole.implied == pytest.approx(whole.implied_by_all)
    assert half.freedom < 20 < whole.freedom < 40
    still = change("al_macro", before, before)
    assert (still.log_ratio, still.own, still.implied, still.changed, still.dispersion) == (0, 0, 0, 0, None)
    assert still.implied_by_all > 0


def test_more_runs_scatter_less() -> None:
    one = counts_of([even(2.5, 40)] * 5)
    of_five = [type(c)(5, c.length, c.steps, c.tokens, c.survivors, 5 * c.squares, 5 * c.freedom, c.inverse_steps,
                       c.tried)
               for c in one]  # fmt: skip
    for metric in METRICS[:3]:
        assert sums(metric, of_five).scatter == pytest.approx(sums(metric, one).scatter / 5, rel=0.3)


def test_different_prompts_add_their_variances() -> None:
    before, after = redrawn(np.random.default_rng(1), 40)
    found = unpaired_change("al_macro", counts_of(before), counts_of(after[:25]))
    assert (found.prompts, found.changed, found.implied) == (25, 25, None)
    lengths: list[Values] = [np.array([r.al for r in side], np.float64) for side in (before, after[:25])]
    parts = [float(x.var() / x.mean() ** 2 / (x.size - 1)) for x in lengths]
    assert found.own == pytest.approx(sum(parts))
    assert found.freedom == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 39 + parts[1] ** 2 / 24))
    assert found.own > 5 * change("al_macro", before, after).own / 2


def test_a_published_figure_is_exact() -> None:
    _, after = redrawn(np.random.default_rng(1), 40)
    found = LogRatio.to_constant(2.5, sums("al_macro", counts_of(after)))
    lengths: Values = np.array([r.al for r in after], np.float64)
    assert (found.baseline, found.freedom, found.changed) == (2.5, 39, 40)
    assert found.own == pytest.approx(float(lengths.var() / lengths.mean() ** 2 / 39))


def test_what_has_no_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="needs prompts"):
        paired_change("al_macro", [], [])
    with pytest.raises(ValueError, match="needs prompts"):
        change(rate_metric(3), [record(5, 5, 0, 0)] * 3, [record(5, 0, 5, 0)] * 3)
    with pytest.raises(ValueError, match="no figure is named"):
        sums("median", counts_of([2.5]))
    with pytest.raises(ValueError, match="zip"):
        change("al_macro", [record(1, 1)], [])
