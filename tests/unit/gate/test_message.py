from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.gate import GatePolicy, GateResult, Pairing, PromptPair, compare, failure_message
from pytest_speedbench.gate.message import COLUMNS, describe_change
from pytest_speedbench.tolerance import parse_tolerance
from tests.unit.gate.pairs import counts, pairing, record

BEFORE = [2.0, 2.2, 1.8, 2.4, 2.6, 1.9]
AFTER = [1.6, 1.8, 1.5, 1.9, 2.0, 1.5]
NOISY = [2.1, 2.3, 1.6, 2.2, 2.7, 2.0]
UPDATE = "If this change is intended, run the same tests with --speedbench-update and commit the new baseline."


def test_a_regression_in_full() -> None:
    data = pairing({"multilingual": (BEFORE, AFTER), "qa": (BEFORE, BEFORE), "math": (BEFORE, NOISY)})
    data = replace(data, against="the baseline of small on split, recorded 2026-03-01", update_hint=UPDATE)
    assert (
        failure_message(compare(data), ["  multilingual lost most at draft position 1."])
        == """\
multilingual -20.2% AL macro
Acceptance length dropped in 1 of 3 categories against the baseline of small on split, recorded
2026-03-01.

  multilingual: AL macro 2.150 -> 1.717, -20.2% [-24.4%, -15.9%], tolerance 1.0%, 6 prompts
    AL pooled 2.150 -> 1.717, -20.2% [-24.5%, -15.8%], tolerance 1.0%

  multilingual lost most at draft position 1.

Intervals and verdicts hold for all 8 tests together, at an error level of 1.0%.
Undecided, with the smallest drop that would have been found 4 times in 5: math (9.6%), overall
(9.4%).
If this change is intended, run the same tests with --speedbench-update and commit the new baseline.\
"""
    )


def test_a_drop_that_shows_only_overall() -> None:
    result = compare(
        pairing({"a": (BEFORE[:2], AFTER[:2]), "b": (BEFORE[2:4], AFTER[2:4]), "c": (BEFORE[4:], AFTER[4:])})
    )
    text = failure_message(result)
    assert text.startswith("overall -20.2% AL macro\nAcceptance length dropped over all categories together against")
    assert "  overall: AL macro 2.150 -> 1.717, -20.2% [" in text
    assert ", 6 prompts" in text
    assert "Too few prompts to judge: a, b, c." in text


def test_the_surest_figure_comes_first_and_the_others_below() -> None:
    before, after = [record(40, 40, 20, 20)] * 9, [record(60, 10, 0, 50)] * 9
    policy = GatePolicy(parse_tolerance("1%,ar1=5%", "tolerance"))
    text = failure_message(compare(pairing({"qa": (before, after)}), policy))
    assert "  qa: AR1 0.667 -> 0.500, -25.0% [" in text
    assert "AL macro" not in text, "it gained"


def test_missing_data_is_not_called_a_drop_and_must_not_be_accepted_blindly() -> None:
    missing = PromptPair("x", "qa", counts(2.0), None, problem="the engine gave no acceptance record")
    text = failure_message(compare(replace(pairing({"qa": (BEFORE, BEFORE)}), pairs=(missing,))))
    assert text.startswith("qa: missing data\nAcceptance length cannot be compared with the baseline: data is missing.")
    assert "  qa: cannot be compared. 1 of 1 prompts: the engine gave no acceptance record." in text
    assert "Mend what is missing" in text
    assert "dropped" not in text


def test_nothing_that_could_be_judged() -> None:
    text = failure_message(compare(pairing({"qa": (BEFORE[:1], AFTER[:1])})))
    assert "at least 3 prompts that both measured are needed" in text.replace("\n", " ")
    assert "Too few prompts to judge: qa." in text
    assert "at least 3 prompts" in failure_message(compare(Pairing(())))


def test_what_is_not_proven_is_named_with_its_interval() -> None:
    result = compare(pairing({"qa": (BEFORE, NOISY), "math": (BEFORE, BEFORE)}), GatePolicy(mode="prove"))
    text = failure_message(result)
    assert text.replace("\n", " ").startswith(
        "Acceptance length is not shown to be as good as the baseline: 2 of 3 comparisons are undecided, and the "
        "policy is to pass on proof only."
    )
    assert "  qa: AL macro 2.150 -> 2.150, +0.0% [" in text
    assert "dropped" not in text
    assert "math: " not in text


def test_the_one_test_of_one_category_is_not_called_all_tests() -> None:
    data = pairing({"qa": (BEFORE, AFTER)})
    assert "hold for all 2 tests together, at an error level of 1.0%." in failure_message(compare(data))
    published = Pairing(
        tuple(PromptPair(str(i), "qa", None, counts(length)) for i, length in enumerate(AFTER)),
        basis="aggregate",
        published={"qa": 4.0},
    )
    assert "hold for the one test, at" in failure_message(compare(published))


def test_two_runs_offer_no_update() -> None:
    data = replace(pairing({"qa": (BEFORE, AFTER)}), update_hint="")
    assert "update" not in failure_message(compare(data))


def test_parts_are_named() -> None:
    data = replace(pairing({"qa": (BEFORE, AFTER)}), baseline_prompts={"qa": 80}, notes=("A note.",))
    text = failure_message(compare(data))
    assert "6 of 80 prompts" in text
    assert "A note." in text


def test_a_change_that_was_not_tested_has_no_interval() -> None:
    (change,) = compare(pairing({"qa": (BEFORE[:1], AFTER[:1])})).rows[0].changes
    assert describe_change(change) == "AL macro 2.000 -> 1.600, -20.0%, tolerance 1.0%"


names = st.lists(st.text(min_size=1, max_size=150), min_size=1, max_size=4, unique=True)


@settings(max_examples=50, deadline=None)
@given(names, st.sampled_from([AFTER, BEFORE[::-1], BEFORE]), st.booleans(), st.sampled_from(["detect", "prove"]))
def test_no_line_is_longer_than_a_log_shows(names: list[str], after: list[float], broken: bool, mode: str) -> None:
    data = pairing(dict.fromkeys(names, (BEFORE, after)))
    if broken:
        data = replace(data, pairs=(*data.pairs[:-1], replace(data.pairs[-1], problem="x\ty" * 90)))
    policy = GatePolicy(parse_tolerance("1%,ar=2%", "tolerance"), mode=mode)  # type: ignore[arg-type]
    result: GateResult = compare(data, policy)
    lines = failure_message(result, ["A line of attribution.\x1b[31m"]).split("\n")
    assert max(map(len, lines)) <= COLUMNS
    assert all(line.isprintable() for line in lines)


def test_a_regression_in_several_says_in_how_many() -> None:
    result = compare(pairing({"a": (BEFORE, AFTER), "b": (BEFORE, AFTER), "c": (BEFORE, BEFORE)}))
    assert failure_message(result).startswith(
        "a -20.2% AL macro, 1 more\nAcceptance length dropped in 2 of 3 categories"
    )
