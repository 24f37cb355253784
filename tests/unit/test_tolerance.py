from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.errors import ConfigError
from pytest_speedbench.tolerance import LENGTH_METRICS, SPEED_METRICS, Allowance, Tolerance, parse_tolerance

METRICS = (*LENGTH_METRICS, "ar1", "ar2", "ar12", *SPEED_METRICS)


def read(value: Any) -> Tolerance:
    return parse_tolerance(value, "tolerance")


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        ("5%", {(None, None): Allowance(0.05)}),
        (" 0.05 ", {(None, None): Allowance(0.05)}),
        (0.05, {(None, None): Allowance(0.05)}),
        (0, {(None, None): Allowance(0.0)}),
        ("0", {(None, None): Allowance(0.0)}),
        ("default=2%", {(None, None): Allowance(0.02)}),
        ("0.05abs", {(None, None): Allowance(0.05, absolute=True)}),
        ("1%,multilingual=5%", {(None, None): Allowance(0.01), (None, "multilingual"): Allowance(0.05)}),
        ("multilingual = 5 %, qa=0", {(None, "multilingual"): Allowance(0.05), (None, "qa"): Allowance(0.0)}),
        ("al_pooled=2%", {("al_pooled", None): Allowance(0.02)}),
        ("al_pooled: rag=3%", {("al_pooled", "rag"): Allowance(0.03)}),
        ("al_macro=2 abs", {("al_macro", None): Allowance(2.0, absolute=True)}),
        ("ar=1%,ar3=4%,ar1:qa=5%", {("ar", None): 0.01, ("ar3", None): 0.04, ("ar1", "qa"): 0.05}),
        ("ttft=20%,step_time=0.002abs", {("ttft", None): 0.2, ("step_time", None): Allowance(0.002, absolute=True)}),
        ({"default": "3%", "qa": 0.1}, {(None, None): Allowance(0.03), (None, "qa"): Allowance(0.1)}),
        ({"al_pooled:rag": "0.1abs"}, {("al_pooled", "rag"): Allowance(0.1, absolute=True)}),
        ("ar0=1%", {(None, "ar0"): Allowance(0.01)}),
        ({"al_macro:ttft": 0.1, "al_pooled:default": 0.2, "al_macro:a:b=c,d": 0.3}, None),
        ({}, {}),
    ],
)
def test_what_is_read(value: Any, rules: dict[tuple[str | None, str | None], Allowance | float] | None) -> None:
    if rules is None:  # categories named like metrics or with signs of the text form in them
        rules = {("al_macro", "ttft"): 0.1, ("al_pooled", "default"): 0.2, ("al_macro", "a:b=c,d"): 0.3}
    expected = {key: Allowance(rule) if isinstance(rule, float) else rule for key, rule in rules.items()}
    assert dict(read(value).rules) == expected
    assert read(read(value)) == read(value)


@given(st.floats(min_value=0, max_value=0.999))
def test_a_share_survives_its_percent_form(share: float) -> None:
    assert read(f"{share * 100}%").plain.value == pytest.approx(share)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("often", "tolerance holds 'often', which is no tolerance. Write a share such as 2%"),
        ("100%", "holds '100%'"),
        ("-1%", "holds '-1%'"),
        ("nan", "holds 'nan'"),
        ("", "holds ''"),
        ("1%,", "holds ''"),
        ("5%abs", "holds '5%abs'"),
        ("-0.1abs", "holds '-0.1abs'"),
        ("infabs", "holds 'infabs'"),
        ("abs", "holds 'abs'"),
        (True, "holds True"),
        (None, "holds None"),
        ({"al_pooled": {"rag": 0.1}}, "holds {'rag': 0.1}"),
        ("qa=1%,qa=2%", "two tolerances for one thing, qa."),
        ("1%,default=2%", "two tolerances for one thing, default."),
        ("=5%", "holds a tolerance for ''. Name a category, a metric or METRIC:CATEGORY."),
        ("al_macro:=5%", "holds a tolerance for 'al_macro:'"),
        ({":rag": 0.1}, "holds a tolerance for ':rag'"),
        ("al_poled:rag=5%", "no metric 'al_poled'. Did you mean 'al_pooled'? Known are: al_macro, al_pooled, ar"),
        ("ar0:rag=5%", "no metric 'ar0'. Did you mean 'ar'"),
        ("tftt:rag=5%", "Did you mean 'ttft'?"),
    ],
)
def test_mistakes_get_one_clear_sentence(value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(value)
    assert message in str(caught.value)


def test_without_rules() -> None:
    for metric in (*LENGTH_METRICS, "ar1"):
        assert Tolerance().of(metric, "qa") == Allowance(0.01)
    for metric in SPEED_METRICS:
        assert Tolerance().of(metric, "qa") == Allowance(0.05)
    assert Tolerance().categories == ()


def test_the_plain_default_is_not_that_of_speeds() -> None:
    chosen = read("3%")
    assert {metric: chosen.of(metric, "qa").value for metric in METRICS} == {
        **dict.fromkeys(METRICS, 0.03),
        **dict.fromkeys(SPEED_METRICS, 0.05),
    }


def test_a_categorys_rule_is_for_acceptance_lengths_only() -> None:
    chosen = read("3%,qa=7%")
    found = {metric: chosen.of(metric, "qa").value for metric in METRICS}
    assert {metric for metric, value in found.items() if value == 0.07} == set(LENGTH_METRICS)
    assert chosen.of("al_macro", "rag") == Allowance(0.03)


def test_the_closest_rule_holds() -> None:
    rules = {"al_pooled:qa": "4%", "qa": "3%", "al_pooled": "2%", "default": "1.5%"}
    for strongest in (0.04, 0.03, 0.02, 0.015):
        assert read(rules).of("al_pooled", "qa") == Allowance(strongest)
        rules.pop(next(iter(rules)))
    assert read(rules).of("al_pooled", "qa") == Allowance(0.01)


def test_a_rule_for_one_position_comes_before_that_for_all() -> None:
    chosen = read("ar=4%,ar2=6%,ar:qa=8%,ar1:qa=9%")
    found = {(metric, category): chosen.of(metric, category).value for metric in METRICS for category in ("qa", "rag")}
    assert (found["ar1", "qa"], found["ar2", "qa"], found["ar12", "qa"]) == (0.09, 0.08, 0.08)
    assert (found["ar1", "rag"], found["ar2", "rag"], found["ar12", "rag"]) == (0.04, 0.06, 0.04)
    assert (found["al_macro", "qa"], found["ttft", "qa"]) == (0.01, 0.05)


def test_rates_are_gated_only_where_a_rule_names_them() -> None:
    assert all(Tolerance().gates(metric) for metric in (*LENGTH_METRICS, *SPEED_METRICS))
    assert not read("3%,qa=2%").gates("ar1")
    one = read("ar1:qa=2%")
    assert one.gates("ar1")
    assert one.gates("ar1", "qa")
    assert not one.gates("ar1", "rag")
    assert not one.gates("ar2")
    assert read("ar2=2%").gates("ar2", "rag")
    assert all(read("ar=2%").gates(metric, "rag") for metric in ("ar1", "ar2", "ar12"))


@pytest.mark.parametrize("metric", ["ar", "ar0", "al", "", "qa"])
def test_what_is_no_metric_has_no_tolerance(metric: str) -> None:
    with pytest.raises(ValueError, match="no metric is named"):
        Tolerance().of(metric, "qa")
    with pytest.raises(ValueError, match="no metric is named"):
        Tolerance().gates(metric)


def test_an_amount_as_a_share_of_a_baseline() -> None:
    assert Allowance(0.02).relative_to(2.5) == 0.02
    assert Allowance(0.05, absolute=True).relative_to(2.5) == pytest.approx(0.02)
    assert Allowance(3.0, absolute=True).relative_to(2.0) == 1.5
    for baseline in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="has no share"):
            Allowance(0.05, absolute=True).relative_to(baseline)


@pytest.mark.parametrize(("value", "absolute"), [(1.0, False), (-0.1, False), (float("nan"), True), (-1.0, True)])
def test_amounts_out_of_range(value: float, absolute: bool) -> None:
    with pytest.raises(ValueError, match="a tolerance is"):
        Allowance(value, absolute)


def test_allowances_in_words() -> None:
    assert [str(Allowance(0.05)), str(Allowance(0.05, absolute=True))] == ["5.0%", "0.05 absolute"]


def test_categories_of_all_rules_are_named() -> None:
    assert read("1%,qa=2%,al_pooled:rag=3%,ttft=4%,ar1:qa=5%").categories == ("qa", "rag")


def test_rules_in_words() -> None:
    chosen = read("2%,qa=3%,rag=0.1abs,al_pooled:math=4%,al_macro=5%")
    assert str(chosen) == "2.0%, al_macro 5.0%, al_pooled:math 4.0%, qa 3.0%, rag 0.1 absolute"


def test_closer_rules_stand_in_place_of_and_beside_others() -> None:
    assert read("1%,qa=2%").overridden_by(read("3%,rag=4%")) == read("3%,qa=2%,rag=4%")


@given(st.text() | st.dictionaries(st.text(), st.text() | st.floats() | st.integers()))
def test_anything_is_read_or_refused(value: Any) -> None:
    try:
        rules = read(value)
    except ConfigError:
        return
    for metric in METRICS:
        assert rules.of(metric, "qa").relative_to(2.5) >= 0
