from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.baselines import Baseline, read_baseline, write_baseline
from pytest_speedbench.baselines.store import to_text
from pytest_speedbench.baselines.variation import coefficient_of_variation, output_tps_cv, run_to_run
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.measure.run import Run, Turn
from pytest_speedbench.report.calibration import calibration_lines, replaced_line
from tests.unit.metrics.runs import conversation, run, turn, without_drafter

DATE = "2026-03-01"


def run_of(first: Turn, second: Turn, third: Turn) -> Run:
    return run([conversation("q/1", "qa", first), conversation("2", "math", second), conversation("3", "math", third)])


ONE = run_of(turn([3, 0, None]), turn([1, 1], discarded=1), turn([2]))
OTHER = run_of(turn([3, 0, None]), turn([2, 1]), turn([2]))
BASELINE = Baseline.from_runs([ONE, OTHER, ONE, OTHER], date=DATE)
STEADY = Baseline.from_runs([ONE] * 5, date=DATE)


def calibration_of(*runs: Run) -> Any:
    calibration = Baseline.from_runs(runs, date=DATE).calibration
    assert calibration is not None
    return calibration


def test_only_what_varied_is_kept() -> None:
    calibration = BASELINE.calibration
    assert calibration is not None
    assert (calibration.runs, calibration.date) == (4, DATE)
    assert [list(repeat) for repeat in calibration.repeats] == [["2"], [], ["2"]]
    assert calibration.changed_counts == round(2 / 9, 6)
    assert calibration.rounds is not None
    assert calibration.rounds.rounds == 4
    assert Baseline.from_run(ONE, date=DATE) == Baseline.from_runs([ONE], date=DATE)


def test_outputs_and_counts_are_told_apart() -> None:
    same_counts = replace(turn([2]), output_ids=(9, 9, 9, 9))
    calibration = calibration_of(ONE, run_of(turn([3, 0, None]), turn([1, 1], discarded=1), same_counts))
    assert (calibration.changed_outputs, calibration.changed_counts) == (round(1 / 3, 6), 0)
    same_output = run_of(turn([3, 0, None]), turn([1, 1], discarded=1), turn([0, 1]))
    calibration = calibration_of(ONE, same_output)
    assert (calibration.changed_outputs, calibration.changed_counts) == (0, round(1 / 3, 6))


def test_a_prompts_records_over_all_runs() -> None:
    for runs in ([ONE], [ONE, OTHER], [OTHER, ONE, OTHER, OTHER]):
        baseline = Baseline.from_runs(runs, date=DATE)
        for number, prompt in enumerate(baseline.prompts):
            assert list(baseline.records(prompt)) == [each.conversations[number].acceptance for each in runs]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (replace(ONE, conversations=ONE.conversations[:2]), "Run 2 of 'small' did not ask the prompts of the first"),
        (
            run_of(turn([3, 0, None], prompt_sha256="x"), turn([1, 1]), turn([2])),
            "Run 2 of 'small' did not ask the prompts",
        ),
        (
            replace(ONE, sampling=replace(ONE.sampling, max_output_tokens=32)),
            "Run 2 of 'small' is not comparable with the first: output limit in tokens: 64, then 32",
        ),
        (replace(ONE, pair=replace(ONE.pair, name="large")), "not comparable with the first: pair: large"),
        (run_of(turn([3], record=False), turn([1, 1]), turn([2])), "no acceptance record for 1 of 3 prompts"),
        (without_drafter(ONE), "is not comparable"),
    ],
)
def test_runs_that_are_not_alike(second: Run, words: str) -> None:
    with pytest.raises(BaselineError, match=words):
        Baseline.from_runs([ONE, second], date=DATE)


@pytest.mark.parametrize("baseline", [BASELINE, STEADY], ids=["varied", "steady"])
def test_it_is_written_and_read_back(baseline: Baseline, tmp_path: Path) -> None:
    path = write_baseline(tmp_path, baseline)
    found = read_baseline(path, record_command="")
    assert found == baseline
    assert path.read_text() == to_text(found)


def test_a_prompt_that_varied_takes_a_line_in_the_file() -> None:
    text, plain = to_text(BASELINE), to_text(Baseline.from_run(ONE, date=DATE))
    start = text.index(',\n  "calibration"')
    assert text[:start] + "\n}\n" == plain
    added = text[start:].splitlines()
    assert added.count('        "2": [6, [0, 1, 1, 0], 6, 0, 0]') == 2
    assert sum('"2": [' in line for line in added) == 2
    assert '"q/1"' not in text[start:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["repeats"][1].update({"4": c["repeats"][0]["2"]}), "prompt '4': in the calibration, but not in"),
        (
            lambda c: c["repeats"][0]["2"].__setitem__(1, [0, 1, 1]),
            "prompt '2': 3 histogram bins in the calibration, 4",
        ),
        (lambda c: c["repeats"][0]["2"].__setitem__(1, [0, 9, 1, 0]), "prompt '2': 11 accepted of 6 proposed tokens"),
        (lambda c: c["repeats"][0]["2"].__setitem__(0, 99), "prompt '2': 99 output tokens are stated"),
        (lambda c: c["repeats"][2]["2"].__setitem__(0, -1), "prompt '2': Expected `int` >= 0"),
        (lambda c: c["repeats"][2]["2"].append(1), "prompt '2': Expected `array"),
        (lambda c: c["repeats"][2].update({"2": {}}), "prompt '2': Expected `array`"),
        (lambda c: c["repeats"][1].update({"3": [4, [0, 0, 1, 0], 3, 0, 0]}), "prompt '3': listed as changed"),
        (lambda c: c["repeats"].pop(), "has 4 runs, but the counts of 2 further ones"),
        (lambda c: c["repeats"][0].clear(), "share of changed counts does not follow"),
        (lambda c: c.update(changed_outputs=1.5), "$.calibration.changed_outputs"),
        (lambda c: c.update(runs=1), "$.calibration.runs"),
        (lambda c: c.update(more=1), "more"),
        (lambda c: [values.pop() for values in c["rounds"].values()], "has 4 runs, but the speed of 3"),
        (lambda c: c["rounds"]["ttft"].pop(), "$.calibration.rounds"),
    ],
)
def test_damage_is_told_apart(change: Callable[[Any], object], words: str, tmp_path: Path) -> None:
    path = write_baseline(tmp_path, BASELINE)
    data = json.loads(path.read_text())
    change(data["calibration"])
    path.write_text(json.dumps(data))
    with pytest.raises(BaselineError, match="is damaged") as caught:
        read_baseline(path, record_command="")
    assert words in str(caught.value)


def test_a_calibration_without_speeds_is_read(tmp_path: Path) -> None:
    path = write_baseline(tmp_path, BASELINE)
    data = json.loads(path.read_text())
    data["calibration"]["rounds"] = None
    path.write_text(json.dumps(data))
    found = read_baseline(path, record_command="")
    assert output_tps_cv(found) is None
    assert '"rounds": null' in to_text(found)
    assert "Output TPS varies by – from run to run" in "\n".join(calibration_lines(found, width=120, colour=False))


def test_variation_by_category() -> None:
    math, qa, overall = run_to_run(BASELINE)
    assert (qa.name, qa.prompts, qa.changed_counts, qa.al_macro_cv, qa.al_pooled_cv) == ("qa", 1, 0, 0, 0)
    assert (math.name, math.prompts, math.changed_counts) == ("math", 2, 2 / 6)
    # prompt 2 has an acceptance length of 2 or 2.5, prompt 3 of 3; over 3 steps they accept 4 or 5 tokens
    assert math.al_macro == pytest.approx(2.625)
    assert math.al_macro_cv == pytest.approx(0.125 * (4 / 3) ** 0.5 / 2.625)
    assert math.al_pooled_cv == pytest.approx((1 / 6) * (4 / 3) ** 0.5 / 2.5)
    assert (overall.name, overall.prompts, overall.changed_counts) == ("", 3, 2 / 9)
    assert run_to_run(Baseline.from_run(ONE, date=DATE)) == ()


def test_speed_varies_as_the_runs_did() -> None:
    slow = [replace(each, emissions=tuple((at * 2, n) for at, n in each.emissions)) for each in _turns(ONE)]
    cv = output_tps_cv(Baseline.from_runs([ONE, run_of(*slow)], date=DATE))
    assert cv == pytest.approx(coefficient_of_variation([2, 1]), rel=1e-4)
    assert output_tps_cv(STEADY) == 0


def test_variation_that_cannot_be_known() -> None:
    silent = run_of(turn([None]), turn([1]), turn([2]))
    qa = run_to_run(Baseline.from_runs([silent, silent], date=DATE))[1]
    assert (qa.al_macro, qa.al_macro_cv, qa.al_pooled_cv) == (None, None, None)
    assert coefficient_of_variation([1.0]) is None
    assert coefficient_of_variation([1.0, None, 1.0]) is None


def test_a_deterministic_engine_in_words() -> None:
    text = "\n".join(calibration_lines(STEADY, width=120, colour=False))
    assert "small on split: 5 runs of 3 prompts, fake 1.0 on CPU, concurrency 4" in text
    assert "Identical in all 5 runs: this engine is deterministic here." in text
    assert "note:" not in text


def test_a_noisy_engine_in_words() -> None:
    lines = calibration_lines(BASELINE, width=120, colour=False)
    text = "\n".join(lines)
    assert "changes the counts of 22.2% and the outputs of 22.2% of the prompts" in text
    assert "differ by up to 10.32% in overall AL macro, 19 times in 20" in text
    assert "the spread of 4 runs is itself known badly; 5 or more are better" in text
    assert any(line.split() == ["math", "2", "33.3%", "2.625", "5.50%", "7.70%"] for line in text.splitlines())
    assert calibration_lines(Baseline.from_run(ONE, date=DATE), width=120, colour=False) == [
        "small on split: not calibrated"
    ]


def test_what_is_replaced_is_said() -> None:
    assert replaced_line(Baseline.from_run(OTHER, date="2026-01-01"), BASELINE) == (
        "replaces the baseline of 2026-01-01: AL macro 2.667 over 3 prompts then, 2.500 over 3 now"
    )
    longer = replace(OTHER, sampling=replace(OTHER.sampling, max_output_tokens=128))
    assert replaced_line(Baseline.from_run(longer, date="2026-01-01"), BASELINE) == (
        "replaces the baseline of 2026-01-01, which is not comparable with it: "
        "output limit in tokens: 128 in the baseline, 64 now"
    )


def test_the_source_of_the_records_is_kept() -> None:
    assert {record.source for prompt in BASELINE.prompts for record in BASELINE.records(prompt)} == {
        AcceptanceSource.ENGINE
    }


def _turns(measured: Run) -> list[Turn]:
    return [conversation.turns[0] for conversation in measured.conversations]
