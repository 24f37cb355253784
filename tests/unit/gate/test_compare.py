from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.gate import GatePolicy, GateResult, GateRow, Pairing, PromptPair, Verdict, compare
from tests.unit.gate.pairs import lengths, noisy, one_category, pairing

CATEGORIES = tuple("abcdefghijk")
als = st.floats(1, 4).map(lambda value: round(value, 2))


@st.composite
def pairings(draw: st.DrawFn) -> Pairing:
    names = draw(st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=4, unique=True))
    rows = {name: draw(st.lists(st.tuples(als, als), min_size=1, max_size=12)) for name in names}
    return pairing({name: ([b for b, _ in row], [c for _, c in row]) for name, row in rows.items()})


def row_of(result: GateResult, name: str) -> GateRow:
    return next(row for row in result.all_rows if row.name == name)


def test_identical_runs_are_exactly_no_regression() -> None:
    values = [1.1, 2.2, 3.3, 1.7]
    result = compare(pairing({"qa": (values, values), "math": (values[:1], values[:1])}))
    for row in result.all_rows:
        assert (row.change, row.lower, row.upper, row.verdict) == (0.0, 0.0, 0.0, Verdict.NO_REGRESSION)
        assert row.movers == ()
    assert not result.failed


def test_a_constant_drop_is_a_regression_and_a_constant_gain_is_none() -> None:
    values = [1.5, 2.2, 3.3, 1.7]
    dropped = compare(one_category(values, [0.9 * v for v in values])).rows[0]
    assert dropped.verdict is Verdict.REGRESSION
    assert (dropped.change, dropped.lower, dropped.upper) == pytest.approx((-0.1, -0.1, -0.1))
    gained = compare(one_category(values, [1.1 * v for v in values]))
    assert gained.rows[0].verdict is Verdict.NO_REGRESSION
    assert not gained.failed


def test_a_drop_within_the_tolerance_passes() -> None:
    values = [1.5, 2.2, 3.3, 1.7]
    dropped = one_category(values, [0.97 * v for v in values])
    assert compare(dropped).failed
    assert not compare(dropped, GatePolicy(tolerance=0.03)).failed
    assert not compare(dropped, GatePolicy(by_category={"qa": 0.05})).failed
    assert compare(dropped, GatePolicy(tolerance=0.05, by_category={"qa": 0.0})).failed


def test_no_regression_means_that_a_drop_beyond_the_tolerance_is_excluded() -> None:
    before = [2.0, 2.5, 3.0, 3.5, 2.0, 2.5]
    after = [2.02, 2.49, 3.01, 3.47, 2.01, 2.5]
    sure = compare(one_category(before, after), GatePolicy(tolerance=0.05)).rows[0]
    assert sure.lower is not None
    assert sure.lower < 0
    assert sure.verdict is Verdict.NO_REGRESSION
    just_wide_enough = compare(one_category(before, after), GatePolicy(tolerance=-sure.lower + 1e-6)).rows[0]
    assert just_wide_enough.verdict is Verdict.NO_REGRESSION
    too_narrow = compare(one_category(before, after), GatePolicy(tolerance=-sure.lower - 1e-6)).rows[0]
    assert too_narrow.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("prompts", [1, 2])
def test_too_few_prompts_are_undecided_and_alone_do_not_pass(prompts: int) -> None:
    result = compare(one_category([3.0] * prompts, [1.0] * prompts))
    (row,) = result.rows
    assert row.verdict is Verdict.UNDECIDED
    assert row.change == pytest.approx(-2 / 3)
    assert (row.lower, row.upper, row.p_value, row.level, row.detectable_drop) == (None,) * 5
    assert row.reason == "fewer than 3 prompts to compare"
    assert result.failed
    assert result.family == 0


def test_too_few_prompts_in_one_category_do_not_hide_the_others() -> None:
    values = [1.5, 2.2, 3.3, 1.7]
    result = compare(pairing({"few": ([2.0, 3.0], [2.1, 3.1]), "qa": (values, values)}))
    assert row_of(result, "few").verdict is Verdict.UNDECIDED
    assert not result.failed
    assert result.family == 2  # qa and overall


def test_missing_data_does_not_pass() -> None:
    good = one_category([2.0] * 10, [2.0] * 10)
    missing = PromptPair("x", "qa", 2.0, None, problem="the engine gave no acceptance record")
    result = compare(replace(good, pairs=(*good.pairs, missing)))
    (row,) = result.rows
    assert row.verdict is Verdict.MISSING
    assert row.reason == "1 of 11 prompts: the engine gave no acceptance record"
    assert row.p_value is None
    assert result.failed


def test_nothing_at_all_does_not_pass() -> None:
    assert compare(Pairing(())).failed
    result = compare(Pairing((PromptPair("x", "qa", None, None),)))
    assert result.rows[0].verdict is Verdict.MISSING
    assert result.failed


def test_prompts_without_a_decode_step_are_left_out_and_said() -> None:
    good = one_category([2.0] * 5, [2.0] * 5)
    result = compare(replace(good, pairs=(*good.pairs, PromptPair("x", "qa", None, None))))
    assert not result.failed
    assert (result.rows[0].prompts, result.rows[0].of_prompts) == (5, 6)
    assert any(note.startswith("1 prompts were left out") for note in result.notes)


def test_a_narrowed_run_says_how_many_of_how_many() -> None:
    narrowed = replace(one_category([2.0] * 5, [2.0] * 5), baseline_prompts={"qa": 80, "math": 80})
    row = compare(narrowed).rows[0]
    assert (row.prompts, row.of_prompts) == (5, 80)


def test_a_drafter_that_does_not_work_is_named() -> None:
    result = compare(pairing({"qa": ([2.0] * 5, [1.01] * 5), "math": ([2.0] * 5, [2.0] * 5)}))
    (note,) = result.notes
    assert "in qa: the drafter is probably not working" in note


def test_a_small_drop_everywhere_shows_overall_before_it_shows_anywhere() -> None:
    rng = np.random.default_rng(2)
    rows = {}
    for name in CATEGORIES:
        before = lengths(rng, 16)
        rows[name] = (before, noisy(rng, before, 0.96, 0.08))
    result = compare(pairing(rows))
    assert {row.verdict for row in result.rows} == {Verdict.UNDECIDED}
    assert result.overall is not None
    assert result.overall.verdict is Verdict.REGRESSION
    assert result.failed


def test_the_overall_tolerance_follows_from_the_categories() -> None:
    before = [2.0, 3.0, 2.5, 1.5]
    result = compare(
        pairing({"qa": (before, before), "rag": (before, [0.85 * v for v in before])}),
        GatePolicy(by_category={"rag": 0.2}),
    )
    assert result.overall is not None
    assert result.overall.tolerance == pytest.approx((0.01 + 0.2) / 2)
    assert not result.failed


def test_movers_are_the_prompts_that_dropped_most() -> None:
    before = [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    after = [1.5, 2.9, 2.0, 3.2, 2.5, 2.4, 2.3, 2.2]
    row = compare(one_category(before, after)).rows[0]
    assert [mover.candidate_al for mover in row.movers] == [1.5, 2.0, 2.2, 2.3, 2.4]
    assert (row.movers[0].question_id, row.movers[0].baseline_steps, row.movers[0].candidate_steps) == ("qa-0", 50, 60)


def test_a_prompt_may_occur_once() -> None:
    pair = PromptPair("x", "qa", 2.0, 2.0)
    with pytest.raises(ValueError, match="occurs twice"):
        compare(Pairing((pair, pair)))


@pytest.mark.parametrize("arguments", [{"tolerance": -0.1}, {"tolerance": 1.0}, {"by_category": {"a": 2.0}}])
def test_tolerances_are_shares(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a tolerance is a share"):
        GatePolicy(**arguments)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_error_levels_are_small(level: float) -> None:
    with pytest.raises(ValueError, match="family-wise error"):
        GatePolicy(family_error=level)


@settings(max_examples=50, deadline=None)
@given(pairings(), st.randoms(use_true_random=False))
def test_the_order_of_the_prompts_does_not_matter(data: Pairing, shuffle: Random) -> None:
    pairs = list(data.pairs)
    shuffle.shuffle(pairs)
    assert compare(replace(data, pairs=tuple(pairs))) == compare(data)


@settings(max_examples=50, deadline=None)
@given(pairings())
def test_verdict_interval_and_p_values_agree(data: Pairing) -> None:
    result = compare(data)
    for row in result.all_rows:
        if row.lower is None or row.upper is None or row.p_value is None:
            continue
        assert row.adjusted_p_value is not None
        assert row.level is not None
        assert row.change is not None
        assert row.lower <= row.change <= row.upper
        assert row.p_value <= row.adjusted_p_value
        assert result.family_error / result.family <= row.level <= result.family_error
        if row.verdict is Verdict.REGRESSION:
            assert row.upper < -row.tolerance
            assert row.adjusted_p_value <= result.family_error * (1 + 1e-9)
        elif row.verdict is Verdict.NO_REGRESSION:
            assert row.lower >= -row.tolerance
        else:
            assert row.lower < -row.tolerance <= row.upper + 1e-9
    assert result.failed == (
        any(row.verdict is Verdict.REGRESSION for row in result.all_rows)
        or all(row.lower is None for row in result.all_rows)
    )


@settings(max_examples=50, deadline=None)
@given(pairings(), st.floats(1, 1.5))
def test_improving_every_prompt_alike_never_turns_a_pass_into_a_failure(data: Pairing, factor: float) -> None:
    now = compare(data)
    better = tuple(replace(p, candidate_al=(p.candidate_al or 0) * factor) for p in data.pairs)
    after = compare(replace(data, pairs=better))
    for before_row, after_row in zip(now.all_rows, after.all_rows, strict=True):
        if after_row.verdict is Verdict.REGRESSION:
            assert before_row.verdict is Verdict.REGRESSION


@settings(max_examples=50, deadline=None)
@given(pairings())
def test_improvements_never_fail(data: Pairing) -> None:
    better = tuple(replace(p, candidate_al=max(p.baseline_al or 0, p.candidate_al or 0)) for p in data.pairs)
    result = compare(replace(data, pairs=better))
    assert all(row.verdict is not Verdict.REGRESSION for row in result.all_rows)


def simulate(repetitions: int, prompts: int, damage: dict[str, float], seed: int, noise: float) -> list[GateResult]:
    rng = np.random.default_rng(seed)
    results = []
    for _ in range(repetitions):
        rows = {}
        for name in CATEGORIES:
            before = lengths(rng, prompts)
            rows[name] = (before, noisy(rng, before, 1 - damage.get(name, 0.0), noise))
        results.append(compare(pairing(rows)))
    return results


def test_no_change_raises_no_alarm() -> None:
    results = simulate(150, 16, {}, seed=1, noise=0.08)
    assert sum(result.failed for result in results) <= 1


def test_a_drop_of_exactly_the_tolerance_everywhere_stays_within_the_error_level() -> None:
    results = simulate(200, 16, dict.fromkeys(CATEGORIES, 0.01), seed=3, noise=0.08)
    assert sum(result.failed for result in results) <= 7  # 2 expected; more than 7 has a probability near 0.1 %


def test_a_planted_drop_is_found_where_it_is() -> None:
    results = simulate(60, 80, {"d": 0.08}, seed=2, noise=0.10)
    found = [result for result in results if row_of(result, "d").verdict is Verdict.REGRESSION]
    assert len(found) >= 54
    others = [row for result in results for row in result.rows if row.name != "d"]
    assert not any(row.verdict is Verdict.REGRESSION for row in others)


def test_a_drop_in_one_category_that_an_overall_mean_would_hide() -> None:
    # A fifth of the acceptance length lost in one of eleven categories moves the overall mean by less than 2 %.
    (result,) = simulate(1, 80, {"d": 0.2}, seed=4, noise=0.10)
    assert result.overall is not None
    assert result.overall.change is not None
    assert result.overall.change > -0.03
    assert [row.name for row in result.rows if row.verdict is Verdict.REGRESSION] == ["d"]
