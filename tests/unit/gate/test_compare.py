from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import GatePolicyName
from pytest_speedbench.gate import (
    Change,
    GatePolicy,
    GateResult,
    GateRow,
    Pairing,
    PromptPair,
    StepCounts,
    Verdict,
    compare,
)
from pytest_speedbench.tolerance import Tolerance, parse_tolerance
from tests.unit.gate.pairs import Prompt, counts, even, one_category, pairing, record, redrawn, scaled

CATEGORIES = tuple("abcdefghijk")
LENGTHS = [1.5, 2.2, 3.3, 1.7]
one_prompt = st.tuples(*[st.integers(0, 30)] * 3, st.integers(1, 30)).map(lambda bins: record(*bins))


@st.composite
def pairings(draw: st.DrawFn) -> Pairing:
    names = draw(st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=4, unique=True))
    rows = {name: draw(st.lists(st.tuples(one_prompt, one_prompt), min_size=1, max_size=9)) for name in names}
    return pairing({name: ([b for b, _ in row], [c for _, c in row]) for name, row in rows.items()})


def accepting(rules: str, mode: GatePolicyName = "detect") -> GatePolicy:
    return GatePolicy(parse_tolerance(rules, "tolerance"), mode=mode)


def row_of(result: GateResult, name: str) -> GateRow:
    return next(row for row in result.all_rows if row.name == name)


def macro(row: GateRow) -> Change:
    found = row.change_of("al_macro")
    assert found is not None
    return found


def test_identical_runs_are_exactly_no_regression() -> None:
    result = compare(pairing({"qa": (LENGTHS, LENGTHS), "math": (LENGTHS[:1], LENGTHS[:1])}))
    for row in result.all_rows:
        assert row.verdict is Verdict.NO_REGRESSION
        assert [(c.change, c.lower, c.upper) for c in row.changes] == [(0.0, 0.0, 0.0)] * len(row.changes)
    assert not result.failed
    assert [len(row.changes) for row in result.all_rows] == [1, 2, 2]


def test_a_constant_drop_is_a_regression_and_a_constant_gain_is_none() -> None:
    result = compare(one_category([2.0] * 4, [1.8] * 4))
    (row,) = result.rows
    assert row.verdict is Verdict.REGRESSION
    assert result.regressed == ("qa",)
    for found in row.changes:
        assert found.lower is not None
        assert found.upper is not None
        assert found.change == pytest.approx(-0.1)
        assert -0.2 < found.lower < -0.1 < found.upper < -0.01
    gained = compare(one_category([2.0] * 4, [2.2] * 4))
    assert gained.rows[0].verdict is Verdict.NO_REGRESSION
    assert not gained.failed


def test_a_drop_within_the_tolerance_passes() -> None:
    lengths = [2.0, 2.2, 3.0, 1.8] * 20
    dropped = one_category(lengths, scaled(lengths, 0.97))
    assert compare(dropped).failed
    assert not compare(dropped, accepting("3%")).failed
    assert not compare(dropped, accepting("qa=5%")).failed
    assert compare(dropped, accepting("5%,qa=0%")).failed
    assert not compare(dropped, accepting("0%,al_macro=5%,al_pooled:qa=4%")).failed
    pooled_only = compare(dropped, accepting("5%,al_pooled:qa=1%")).rows[0]
    assert pooled_only.headline == pooled_only.change_of("al_pooled")


def test_an_absolute_tolerance_is_in_tokens_per_step() -> None:
    lengths = [2.0, 2.2, 3.0, 1.8] * 20
    dropped = one_category(lengths, [length - 0.06 for length in lengths])
    result = compare(dropped, accepting("0.1abs"))
    assert not result.failed
    assert macro(result.rows[0]).tolerance == pytest.approx(0.1 / 2.25)
    assert compare(dropped, accepting("0.03abs")).failed
    whole = compare(dropped, accepting("9abs")).rows[0]
    assert whole.verdict is Verdict.NO_REGRESSION


def test_no_regression_means_that_a_drop_beyond_the_tolerance_is_excluded() -> None:
    data = one_category(*redrawn(np.random.default_rng(1), 12))
    sure = compare(data, accepting("30%")).rows[0]
    assert sure.verdict is Verdict.NO_REGRESSION
    lower = min(change.lower for change in sure.changes if change.lower is not None)
    assert lower < 0
    at_the_edge = [compare(data, accepting(str(-lower + nudge))).rows[0].verdict for nudge in (1e-6, -1e-6)]
    assert at_the_edge == [Verdict.NO_REGRESSION, Verdict.UNDECIDED]


def test_a_category_is_the_worst_of_its_figures() -> None:
    # The long answer of each pair lost, the short ones gained: every prompt alike it is a gain, by steps a loss.
    before = [even(2.0, 20), even(2.0, 1000)] * 20
    after = [even(2.4, 20), even(1.8, 1000)] * 20
    row = compare(one_category(before, after)).rows[0]
    assert [(c.metric, c.verdict) for c in row.changes] == [
        ("al_macro", Verdict.NO_REGRESSION),
        ("al_pooled", Verdict.REGRESSION),
    ]
    assert row.verdict is Verdict.REGRESSION
    assert row.headline == row.changes[1]


@pytest.mark.parametrize("prompts", [1, 2])
def test_too_few_prompts_are_undecided_and_alone_do_not_pass(prompts: int) -> None:
    result = compare(one_category([3.0] * prompts, [1.0] * prompts))
    (row,) = result.rows
    assert row.verdict is Verdict.UNDECIDED
    (change,) = row.changes
    assert change.change == pytest.approx(-2 / 3)
    assert (change.lower, change.upper, change.p_value, change.level, change.detectable_drop) == (None,) * 5
    assert row.reason == "fewer than 3 prompts to compare"
    assert not row.tested
    assert result.failed
    assert result.family == 0


def test_too_few_prompts_in_one_category_do_not_hide_the_others() -> None:
    result = compare(pairing({"few": ([2.0, 3.0], [2.1, 3.1]), "qa": (LENGTHS, LENGTHS)}))
    assert row_of(result, "few").verdict is Verdict.UNDECIDED
    assert not result.failed
    assert result.family == 4, "both lengths of qa and of all together"


@pytest.mark.parametrize(("rules", "tests"), [("1%", 6), ("1%,ar=2%", 15), ("ar1:a=2%,ar3:b=2%", 6 + 4), ("ar9=1%", 6)])
def test_the_family_is_every_gated_figure_of_every_row(rules: str, tests: int) -> None:
    rng = np.random.default_rng(1)
    result = compare(pairing({name: redrawn(rng, 5) for name in "ab"}), accepting(rules))
    assert result.family == tests == sum(len(row.changes) for row in result.all_rows)


def test_acceptance_rates_are_gated_only_where_a_rule_names_them() -> None:
    # The first position lost, the later ones won it back.
    data = pairing({name: ([record(40, 40, 20, 20)] * 9, [record(60, 10, 0, 50)] * 9) for name in "ab"})
    assert not compare(data).failed
    result = compare(data, accepting("1%,ar1:a=5%"))
    assert [row.verdict for row in result.rows] == [Verdict.REGRESSION, Verdict.NO_REGRESSION]
    rate = row_of(result, "a").headline
    assert rate is not None
    assert rate.metric == "ar1"
    assert (rate.baseline, rate.candidate, rate.tolerance) == pytest.approx((80 / 120, 60 / 120, 0.05))
    assert row_of(result, "b").change_of("ar1") is None
    assert not compare(data, accepting("1%,ar1=0.2abs")).failed


def test_missing_data_does_not_pass() -> None:
    good = one_category([2.0] * 10, [2.0] * 10)
    missing = PromptPair("x", "qa", counts(2.0), None, problem="the engine gave no acceptance record")
    result = compare(replace(good, pairs=(*good.pairs, missing)))
    (row,) = result.rows
    assert row.verdict is Verdict.MISSING
    assert row.reason == "1 of 11 prompts: the engine gave no acceptance record"
    assert row.changes == ()
    assert result.failed


def test_a_category_with_missing_data_stays_out_of_the_overall_row() -> None:
    data = pairing({name: (LENGTHS, scaled(LENGTHS, 0.5) if name == "c" else LENGTHS) for name in "abcde"})
    pairs = tuple(replace(pair, problem="broken") if pair.question_id == "c-01" else pair for pair in data.pairs)
    result = compare(replace(data, pairs=pairs))
    assert result.overall is not None
    assert (result.overall.prompts, result.overall.change_of("al_macro").change) == (16, 0.0)  # type: ignore[union-attr]
    assert result.failed


def test_all_prompts_together_have_no_verdict_without_enough_of_the_categories() -> None:
    data = pairing(dict.fromkeys("abc", (LENGTHS, LENGTHS)))
    pairs = tuple(replace(pair, problem="broken") if pair.question_id == "c-01" else pair for pair in data.pairs)
    overall = compare(replace(data, pairs=pairs)).overall
    assert overall is not None
    assert (overall.prompts, overall.of_prompts, overall.verdict) == (8, 12, Verdict.MISSING)
    assert overall.reason == "8 of 12 prompts can be compared, and a verdict needs 80% of them: none of c"


NO_STEP = "8 of 12 prompts can be compared, and a verdict needs 80% of them: 4 without a verify step "


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ([2.0] * 12, [2.0] * 8 + [None] * 4, NO_STEP + "now"),
        ([2.0] * 8 + [None] * 4, [2.0] * 12, NO_STEP + "in the baseline only"),
        ([2.0] * 8 + [None] * 4, [2.0] * 8 + [None] * 4, NO_STEP + "on either side"),
    ],
)
@pytest.mark.parametrize("mode", ["detect", "prove"])
def test_a_verdict_needs_four_fifths_of_its_prompts(
    before: list[Prompt], after: list[Prompt], reason: str, mode: GatePolicyName
) -> None:
    result = compare(one_category(before, after), GatePolicy(mode=mode))
    assert [(row.verdict, row.reason) for row in result.rows] == [(Verdict.MISSING, reason)]
    assert result.failed
    four_fifths = compare(one_category([*before[:8], before[-1], before[-1]], [*after[:8], after[-1], after[-1]]))
    assert not four_fifths.failed
    assert any("A verdict needs 80% of its prompts." in note for note in four_fifths.notes)


def test_prompts_that_the_baseline_lacks_are_not_passed_over() -> None:
    kept = one_category(LENGTHS * 3, LENGTHS * 3).pairs[:3]
    lacking = tuple(PromptPair(f"new-{n}", "qa", None, counts(2.0), in_baseline=False) for n in range(9))
    result = compare(Pairing((*kept, *lacking), draft_length=3, baseline_prompts={"qa": 3}))
    (row,) = result.rows
    assert row.verdict is Verdict.MISSING
    assert row.reason == ("3 of 12 prompts can be compared, and a verdict needs 80% of them: 9 not in the baseline")
    assert result.failed


def test_unchanged_prompts_vouch_for_themselves_only() -> None:
    """An unchanged prompt says nothing of those that have no data or were not asked."""
    lengths = [2.0, 2.4, 1.8, 3.0, 2.2] * 4
    (one_lacks,) = compare(one_category([*lengths, 2.0], [*lengths, None])).rows
    assert one_lacks.verdict is Verdict.UNDECIDED
    change = macro(one_lacks)
    assert change.change == 0.0
    assert change.lower is not None
    assert change.lower < -0.01
    part = replace(one_category(lengths, lengths), baseline_prompts={"qa": 80})
    assert compare(part).rows[0].verdict is Verdict.UNDECIDED
    assert not compare(part).failed
    assert compare(part, GatePolicy(mode="prove")).failed
    (ends_at_once,) = compare(one_category([*lengths, None], [*lengths, None])).rows
    assert ends_at_once.verdict is Verdict.NO_REGRESSION, "an output without a step is as unchanged as another"


@pytest.mark.parametrize("prompts", [1, 2])
def test_few_unchanged_prompts_of_many_are_no_proof(prompts: int) -> None:
    part = replace(one_category([2.0] * prompts, [2.0] * prompts), baseline_prompts={"qa": 32})
    for mode in ("detect", "prove"):
        result = compare(part, GatePolicy(mode=mode))
        assert [(row.verdict, row.tested) for row in result.rows] == [(Verdict.UNDECIDED, False)]
        assert result.failed


def test_nothing_at_all_does_not_pass() -> None:
    assert compare(Pairing(())).failed
    result = compare(Pairing((PromptPair("x", "qa", None, None),)))
    assert result.rows[0].verdict is Verdict.MISSING
    assert result.rows[0].reason == "no prompt that both sides decoded a step of"
    assert result.failed


def test_prompts_without_a_decode_step_are_left_out_and_said() -> None:
    result = compare(one_category([2.0] * 5 + [None], [2.0] * 6))
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
    result = compare(pairing({name: redrawn(rng, 16, drop=0.05) for name in CATEGORIES}))
    assert {row.verdict for row in result.rows} == {Verdict.UNDECIDED}
    assert result.overall is not None
    assert result.overall.verdict is Verdict.REGRESSION
    assert result.regressed == ("overall",)
    assert result.failed


def test_the_overall_tolerance_follows_from_the_categories() -> None:
    before = [2.0, 3.0, 2.5, 1.5]
    data = pairing({"qa": (before, before), "rag": (before, scaled(before, 0.85))})
    result = compare(data, accepting("rag=25%,al_pooled:qa=3%"))
    assert result.overall is not None
    assert macro(result.overall).tolerance == pytest.approx((0.01 + 0.25) / 2)
    pooled = result.overall.change_of("al_pooled")
    assert pooled is not None
    assert pooled.tolerance == pytest.approx((0.03 + 0.25) / 2)
    assert not result.failed


def test_prove_fails_on_what_is_not_shown() -> None:
    rng = np.random.default_rng(4)
    unsure = pairing({name: redrawn(rng, 8) for name in "ab"})
    assert not compare(unsure).failed
    proof = compare(unsure, GatePolicy(mode="prove"))
    assert {row.verdict for row in proof.all_rows} == {Verdict.UNDECIDED}
    assert (proof.mode, proof.failed, proof.regressed) == ("prove", True, ())
    assert not compare(unsure, accepting("40%", mode="prove")).failed
    same = pairing({"a": (LENGTHS, LENGTHS)})
    assert not compare(same, GatePolicy(mode="prove")).failed


def test_a_prompt_may_occur_once() -> None:
    pair = PromptPair("x", "qa", counts(2.0), counts(2.0))
    with pytest.raises(ValueError, match="occurs twice"):
        compare(Pairing((pair, pair)))


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_error_levels_are_small(level: float) -> None:
    with pytest.raises(ValueError, match="family-wise error"):
        GatePolicy(family_error=level)


def unpaired(before: list[float], after: list[float]) -> Pairing:
    pairs = [PromptPair(f"b{i}", "qa", counts(length), None) for i, length in enumerate(before)]
    pairs += [PromptPair(f"a{i}", "qa", None, counts(length)) for i, length in enumerate(after)]
    return Pairing(tuple(pairs), basis="unpaired", draft_length=3)


def test_different_prompts_are_compared_by_their_means() -> None:
    rng = np.random.default_rng(1)
    before, after = (list(rng.normal(2.5, 0.3, size=n).clip(1)) for n in (40, 30))
    result = compare(unpaired(before, after))
    (row,) = result.rows
    assert (result.basis, row.prompts, row.verdict) == ("unpaired", 30, Verdict.UNDECIDED)
    found = macro(row)
    assert found.baseline == pytest.approx(np.mean(before), abs=2e-3)
    assert found.candidate == pytest.approx(np.mean(after), abs=2e-3)
    assert compare(unpaired(before, scaled(after, 0.7))).failed


def test_different_prompts_are_never_unchanged_and_may_share_their_names() -> None:
    result = compare(unpaired([2.0, 2.5, 3.0, 2.2], [2.0, 2.5, 3.0, 2.2]))
    assert result.rows[0].verdict is Verdict.UNDECIDED
    same_names = tuple(replace(pair, question_id=pair.question_id[1:]) for pair in unpaired(LENGTHS, LENGTHS).pairs)
    assert compare(Pairing(same_names, basis="unpaired")).rows[0].prompts == 4
    few = compare(unpaired([2.0, 2.5], [2.0, 2.5])).rows[0]
    assert (few.verdict, few.reason) == (Verdict.UNDECIDED, "fewer than 3 prompts to compare")
    one_sided = compare(Pairing(unpaired([2.0] * 5, []).pairs, basis="unpaired"))
    assert one_sided.rows[0].reason == "one side has no prompt of this category that decoded a step"


def published(after: list[float], figures: dict[str, float]) -> Pairing:
    pairs = [PromptPair(f"{i}", "qa", None, counts(length)) for i, length in enumerate(after)]
    return Pairing(tuple(pairs), basis="aggregate", published=figures, draft_length=3)


def test_a_published_table_is_taken_as_exact() -> None:
    rng = np.random.default_rng(1)
    lengths = list(rng.normal(2.5, 0.2, size=60).clip(1))
    result = compare(published(lengths, {"qa": 2.5}), accepting("ar=1%"))
    (row,) = result.rows
    assert (result.basis, row.prompts, row.verdict) == ("aggregate", 60, Verdict.UNDECIDED)
    assert [change.metric for change in row.changes] == ["al_macro"], "a table has nothing else"
    assert macro(row).baseline == 2.5
    assert compare(published(lengths, {"qa": 3.0})).failed
    assert compare(published(lengths, {"qa": 2.0})).rows[0].verdict is Verdict.NO_REGRESSION
    missing = compare(published(lengths, {"math": 2.0})).rows[0]
    assert (missing.verdict, missing.reason) == (Verdict.MISSING, "the table does not have this category")


@settings(max_examples=40, deadline=None)
@given(pairings(), st.randoms(use_true_random=False))
def test_the_order_of_the_prompts_does_not_matter(data: Pairing, shuffle: Random) -> None:
    pairs = list(data.pairs)
    shuffle.shuffle(pairs)
    assert compare(replace(data, pairs=tuple(pairs))) == compare(data)


@settings(max_examples=60, deadline=None)
@given(pairings(), st.sampled_from(["1%", "0%", "20%,ar=3%"]))
def test_verdict_interval_and_p_values_agree(data: Pairing, rules: str) -> None:
    result = compare(data, accepting(rules))
    for row in result.all_rows:
        for change in row.changes if row.prompts >= 3 else ():
            assert change.lower is not None
            assert change.upper is not None
            assert change.p_value is not None
            assert change.adjusted_p_value is not None
            assert change.level is not None
            assert change.lower - 1e-12 <= change.change <= change.upper + 1e-12
            assert change.p_value <= change.adjusted_p_value
            assert result.family_error / result.family * (1 - 1e-9) <= change.level <= result.family_error
            regressed = change.verdict is Verdict.REGRESSION
            assert regressed == (change.upper < -change.tolerance)
            assert regressed == (change.adjusted_p_value <= result.family_error * (1 + 1e-9))
            if not regressed:
                excluded = change.lower >= -change.tolerance - 1e-12
                assert (change.verdict is Verdict.NO_REGRESSION) == excluded
        worst = {change.verdict for change in row.changes}
        assert row.verdict in worst
        assert (row.verdict is Verdict.REGRESSION) == (Verdict.REGRESSION in worst)
    nothing_tested = not any(row.tested for row in result.all_rows)
    assert result.failed == (bool(result.regressed) or nothing_tested)


@settings(max_examples=40, deadline=None)
@given(pairings())
def test_a_run_against_itself_and_a_better_one_never_fail(data: Pairing) -> None:
    same = compare(replace(data, pairs=tuple(replace(pair, after=pair.before) for pair in data.pairs)))
    assert {row.verdict for row in same.all_rows} == {Verdict.NO_REGRESSION}
    better = compare(replace(data, pairs=tuple(replace(pair, after=counts(4.0)) for pair in data.pairs)))
    assert not better.regressed


def simulate(
    repetitions: int, prompts: int, drop: dict[str, float], seed: int, unchanged: float = 0.0
) -> list[GateResult]:
    rng = np.random.default_rng(seed)
    return [
        compare(
            pairing({name: redrawn(rng, prompts, drop=drop.get(name, 0.0), unchanged=unchanged) for name in CATEGORIES})
        )
        for _ in range(repetitions)
    ]


@pytest.mark.parametrize("unchanged", [0.0, 0.7, 0.98])
def test_no_change_raises_no_alarm(unchanged: float) -> None:
    results = simulate(50, 16, {}, seed=1, unchanged=unchanged)
    assert sum(result.failed for result in results) <= 1


def test_a_drop_of_exactly_the_tolerance_everywhere_stays_within_the_error_level() -> None:
    results = simulate(80, 16, dict.fromkeys(CATEGORIES, 0.01), seed=3)
    assert sum(result.failed for result in results) <= 4  # 0.8 expected; more than 4 has a probability near 0.1 %


def test_a_planted_drop_is_found_where_it_is() -> None:
    results = simulate(15, 80, {"d": 0.1}, seed=2)
    found = [result for result in results if row_of(result, "d").verdict is Verdict.REGRESSION]
    assert len(found) >= 14
    others = [row for result in results for row in result.rows if row.name != "d"]
    assert not any(row.verdict is Verdict.REGRESSION for row in others)


def test_a_drop_in_one_category_that_an_overall_mean_would_hide() -> None:
    # A fifth of the acceptance length lost in one of eleven categories moves the overall mean by less than 2 %.
    (result,) = simulate(1, 80, {"d": 0.2}, seed=4)
    assert result.overall is not None
    assert macro(result.overall).change > -0.03
    assert [row.name for row in result.rows if row.verdict is Verdict.REGRESSION] == ["d"]


def test_a_default_policy_accepts_one_percent() -> None:
    assert GatePolicy().tolerance == Tolerance()
    assert macro(compare(one_category(LENGTHS, LENGTHS)).rows[0]).tolerance == pytest.approx(0.01)


def test_a_rate_that_fell_to_nothing_is_a_regression_and_one_out_of_reach_is_missing() -> None:
    def pairs(histogram: tuple[int, ...]) -> Pairing:
        before = StepCounts.of([AcceptanceRecord(3, (10, 10, 10, 30), None)], undrafted=False)
        after = StepCounts.of([AcceptanceRecord(3, histogram, None)], undrafted=False)
        found = tuple(PromptPair(f"qa-{n}", "qa", before, after) for n in range(20))
        return Pairing(found, draft_length=3)

    policy = GatePolicy(parse_tolerance("90%,ar3=5%", "tolerance"))
    (row,) = compare(pairs((10, 10, 40, 0)), policy).rows
    change = row.change_of("ar3")
    assert change is not None
    assert change.verdict is row.verdict is Verdict.REGRESSION
    (row,) = compare(pairs((30, 30, 0, 0)), policy).rows
    assert row.verdict is Verdict.MISSING
    assert row.reason == "no step of one side got as far as AR3 needs"
