from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.calibration import Calibration
from pytest_speedbench.gate import Verdict, compare, pair_up
from pytest_speedbench.measure.run import Conversation, Run
from tests.unit.metrics.runs import conversation, run, turn

ROWS = [
    *(conversation(f"q{i}", "qa", turn([3, i % 4]), turn([1])) for i in range(4)),
    *(conversation(f"m{i}", "math", turn([2, 2, i % 3])) for i in range(4)),
]
RUN = run(ROWS)
BASELINE = Baseline.from_run(RUN, date="2026-03-01T10:00:00")
UNCALIBRATED = (
    "The baseline is not calibrated: the gate allows for the spread of prompts, not for what moves a whole run "
    "(record one with --speedbench-update --speedbench-repeat=5)."
)


def changed(index: int, new: Conversation) -> Run:
    rows = list(ROWS)
    rows[index] = new
    return replace(RUN, conversations=tuple(rows))


def test_a_run_against_its_own_baseline_is_unchanged() -> None:
    pairing = pair_up(BASELINE, RUN)
    assert pairing.against == "the baseline of small on split, recorded 2026-03-01"
    assert pairing.figure == "acceptance length"
    assert pairing.baseline_prompts == {"qa": 4, "math": 4}
    assert pairing.notes == (UNCALIBRATED,)
    assert pairing.draft_length == 3
    assert "--speedbench-update" in pairing.update_hint
    first = pairing.pairs[0]
    assert (first.question_id, first.category, first.turns, first.baseline_steps) == ("q0", "qa", 2, 3)
    assert first.baseline_al == first.candidate_al == pytest.approx(1 + 4 / 3)
    result = compare(pairing)
    assert [change.change for row in result.all_rows for change in row.changes] == [0.0] * 6
    assert not result.failed


def test_two_runs_have_no_file_to_update() -> None:
    pairing = pair_up(RUN, RUN)
    assert pairing.pairs == pair_up(BASELINE, RUN).pairs
    assert (pairing.against, pairing.update_hint, pairing.notes) == ("small on split", "", ())


def test_steps_without_a_draft_change_the_figure_and_its_name() -> None:
    # Proposing only where it is easy raises the acceptance length, and makes decoding slower.
    lazy = replace(RUN, conversations=tuple(conversation(c.question_id, c.category, turn([3, None, None, None]))
                                            for c in ROWS))  # fmt: skip
    pairing = pair_up(BASELINE, lazy)
    assert pairing.figure == "tokens per decode step"
    assert {pair.candidate_al for pair in pairing.pairs} == {7 / 4}
    assert compare(pairing).failed


def test_a_prompt_that_never_drafted_has_one_token_per_step() -> None:
    pairing = pair_up(BASELINE, changed(0, conversation("q0", "qa", turn([None, None]))))
    assert pairing.pairs[0].candidate_al == 1
    assert pairing.pairs[0].candidate_steps == 2
    assert pairing.pairs[0].problem == ""


@pytest.mark.parametrize(
    ("measured", "problem"),
    [
        (conversation("q0", "qa", turn([3], record=False)), "the engine gave no acceptance record"),
        (conversation("q0", "qa", turn([3], prompt_sha256="other"), turn([1])), "the rendered prompt differs"),
        (conversation("q0", "math", turn([3, 0]), turn([1])), "the baseline has it under qa"),
        (conversation("new", "rag", turn([3])), "the baseline does not have this category"),
    ],
)
def test_what_cannot_be_compared_does_not_pass(measured: Conversation, problem: str) -> None:
    result = compare(pair_up(BASELINE, changed(0, measured)))
    (row,) = [row for row in result.rows if row.verdict is Verdict.MISSING]
    assert problem in row.reason
    assert result.failed


def test_another_run_without_records_does_not_pass_either() -> None:
    silent = changed(0, conversation("q0", "qa", turn([3], record=False)))
    result = compare(pair_up(silent, RUN))
    assert "the baseline has no acceptance record" in result.rows[1].reason


def test_later_turns_may_differ_since_they_contain_replies() -> None:
    pairing = pair_up(BASELINE, changed(0, conversation("q0", "qa", turn([3, 0]), turn([1], prompt_sha256="reply"))))
    assert pairing.pairs[0].problem == ""


def test_a_narrowed_run_is_compared_and_says_so() -> None:
    narrowed = replace(RUN, conversations=tuple(ROWS[:3]))
    pairing = pair_up(BASELINE, narrowed)
    assert pairing.notes == (
        "Not measured, so not compared: math.",
        "3 of the baseline's 8 prompts were measured.",
        UNCALIBRATED,
    )
    result = compare(pairing)
    assert [(row.name, row.prompts, row.of_prompts) for row in result.rows] == [("qa", 3, 4)]
    assert result.overall is None
    assert not result.failed


def test_prompts_that_the_baseline_lacks_are_counted() -> None:
    more = replace(RUN, conversations=(*ROWS, conversation("q9", "qa", turn([0, 0]))))
    pairing = pair_up(BASELINE, more)
    assert pairing.notes == ("1 measured prompts are not in the baseline and were not compared.", UNCALIBRATED)
    assert not compare(pairing).failed


def test_other_outputs_are_counted() -> None:
    other = replace(ROWS[0].turns[0], output_ids=tuple(range(50, 56)))
    pairing = pair_up(BASELINE, changed(0, replace(ROWS[0], turns=(other, ROWS[0].turns[1]))))
    assert pairing.notes == ("The output differs from the baseline's in 1 of 8 prompts.", UNCALIBRATED)


def test_of_several_runs_the_mean_is_compared() -> None:
    other = changed(0, conversation("q0", "qa", turn([0, 0]), turn([0])))
    pairing = pair_up(BASELINE, [RUN, other])
    first, second = pairing.pairs[:2]
    assert first.after is not None
    assert (first.after.runs, first.after.steps) == (2, 3)
    assert first.candidate_al == pytest.approx((1 + 4 / 3 + 1) / 2)
    assert second.after is not None
    assert second.before is not None
    assert second.after.same_as(second.before)


def test_a_prompt_without_a_record_in_one_of_several_runs_cannot_be_compared() -> None:
    silent = changed(0, conversation("q0", "qa", turn([3], record=False)))
    pairing = pair_up(BASELINE, [RUN, silent])
    assert [pair.problem for pair in pairing.pairs[:2]] == ["the engine gave no acceptance record", ""]
    fewer = pair_up(BASELINE, [RUN, replace(RUN, conversations=tuple(ROWS[1:]))])
    assert fewer.pairs[0].problem == "the engine gave no acceptance record"


def test_of_a_calibrated_baseline_the_mean_over_its_runs_is_compared() -> None:
    runs = [RUN, RUN, changed(0, conversation("q0", "qa", turn([0, 0]), turn([0])))]
    calibrated = replace_calibration(BASELINE, runs)
    pairing = pair_up(calibrated, RUN)
    first, second = pairing.pairs[:2]
    assert first.before is not None
    assert first.before.runs == 3
    assert first.baseline_al == pytest.approx(((1 + 4 / 3) * 2 + 1) / 3)
    assert first.after is not None
    assert not first.after.same_as(first.before)
    assert second.before is not None
    assert second.after is not None
    assert second.after.same_as(second.before)
    assert pairing.noise.keys() == {"math", "qa", "overall"}
    assert UNCALIBRATED not in pairing.notes


def replace_calibration(baseline: Baseline, runs: list[Run]) -> Baseline:
    return msgspec.structs.replace(baseline, calibration=Calibration.of_runs(runs, "2026-03-01"))
