"""Another drafter that drafts the very same as the baseline's: behind a server it was not loaded."""

from __future__ import annotations

from dataclasses import replace

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.gate import compare, failure_message, pair_up
from pytest_speedbench.gate.loaded import same_drafts
from pytest_speedbench.measure.run import Run
from tests.unit.metrics.runs import conversation, run, turn

ENDPOINT = "http://localhost:8000"


def measured(prompts: int = 12, *, accepted: tuple[int, ...] = (3, 0, 2, 1) * 5, last: int = 1) -> Run:
    rows = [conversation(f"q{i:02}", "qa", turn(accepted)) for i in range(prompts - 1)]
    return run([*rows, conversation("z", "qa", turn([*accepted, last]))])


def stored() -> Baseline:
    return Baseline.from_run(measured(), date="2026-03-01")


def candidate(of: Run, *, endpoint: str | None = ENDPOINT, sha256: str | None = "e" * 64) -> Run:
    """The same run with another head."""
    pair = replace(of.pair, drafter=Drafter(DrafterMethod.EAGLE3, "new", 3), endpoint=endpoint)
    return replace(of, pair=pair, models=replace(of.models, drafter_sha256=sha256))


def test_a_candidate_behind_an_endpoint_that_drafts_the_very_same_was_not_loaded() -> None:
    result = compare(pair_up(stored(), candidate(measured())))
    assert result.failed
    assert result.not_loaded
    assert not result.rows_failed
    text = " ".join(failure_message(result).split())
    assert text.startswith(
        "The drafter eagle3:new is another one than eagle3:head of the baseline of small, and the counts of all 12 "
        "prompts are the same: the server at http://localhost:8000 seems to draft with the old one still."
    )
    assert "Start the server with the drafter that is to be judged." in text
    assert text.count("The drafter eagle3:new") == 1


def test_two_runs_are_held_to_it_too() -> None:
    assert compare(pair_up(measured(), candidate(measured()))).not_loaded


def test_on_an_engine_of_ours_it_is_said_only() -> None:
    result = compare(pair_up(stored(), candidate(measured(), endpoint=None)))
    assert not result.failed
    assert result.doubts == (
        "The drafter eagle3:new is another one than eagle3:head of the baseline of small, and the counts of all 12 "
        "prompts are the same: do the two hold the same weights?",
    )


def test_the_pairs_own_drafter_may_do_what_it_did() -> None:
    assert same_drafts(stored(), [candidate(measured(), sha256="d" * 64)]) is None
    assert same_drafts(stored(), [candidate(measured(), sha256=None)]) is None


def test_another_method_is_another_drafter_without_a_hash() -> None:
    of = candidate(measured(), sha256=None)
    ngram = replace(of, pair=replace(of.pair, drafter=Drafter(DrafterMethod.NGRAM, None, 3)))
    assert same_drafts(stored(), [ngram]) is not None


def test_one_step_that_differs_is_enough() -> None:
    assert same_drafts(stored(), [candidate(measured(last=2))]) is None


def test_few_steps_and_steps_that_are_all_alike_say_nothing() -> None:
    few = measured(4)
    assert same_drafts(Baseline.from_run(few, date="2026-03-01"), [candidate(few)]) is None
    alike = measured(accepted=(3,) * 20, last=3)
    assert same_drafts(Baseline.from_run(alike, date="2026-03-01"), [candidate(alike)]) is None
