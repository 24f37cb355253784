from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.schema import output_sha256
from pytest_speedbench.errors import BaselineError
from tests.unit.metrics.runs import conversation, run, turn, without_drafter

ROWS = [
    conversation("1", "qa", turn([3, 0, None], discarded=0), turn([2], prompt_sha256="second")),
    conversation("2", "math", turn([1, 1])),
]


def test_a_prompt_keeps_its_turns_pooled() -> None:
    baseline = Baseline.from_run(run(ROWS), date="2026-03-01")
    entry = baseline.prompts[0]
    assert (entry.id, entry.category, entry.sub_category, entry.turns) == ("1", "qa", "qa-sub", 2)
    assert entry.histogram == (1, 0, 1, 1)
    assert (entry.proposed_tokens, entry.undrafted_steps, entry.discarded_tokens) == (9, 1, 0)
    assert entry.output_tokens == (1 + 4 + 1 + 1) + (1 + 3)
    assert entry.prompt_sha256 == "p"  # the first turn's: later ones contain replies
    assert entry.record(AcceptanceSource.ENGINE) == ROWS[0].acceptance


def test_a_prompt_keeps_where_its_outputs_ended() -> None:
    stopped = replace(turn([2]), finish_reason="stop")
    rows = [conversation("1", "qa", stopped, turn([3], discarded=1)), conversation("2", "qa", turn([1, 1]))]
    entries = Baseline.from_run(run(rows), date="2026-03-01").prompts
    assert [entry.cuts for entry in entries] == [((3, 2), (4, 3)), ()]
    grown = msgspec.structs.replace(entries[1], cuts=((1, 2),))
    with pytest.raises(ValueError, match="cannot be of the last steps"):
        grown.record(AcceptanceSource.ENGINE)


def test_a_tree_survives_the_baseline() -> None:
    drafted = turn([2, 0])
    assert drafted.acceptance is not None
    tree = replace(drafted.acceptance, proposed_tokens=2 * 9, tree_tokens=9)
    baseline = Baseline.from_run(run([conversation("1", "qa", replace(drafted, acceptance=tree))]), date="2026-03-01")
    again = msgspec.json.decode(msgspec.json.encode(baseline), type=Baseline).prompts[0]
    assert again.record(AcceptanceSource.ENGINE) == tree


def test_the_summary_is_for_reading() -> None:
    summary = Baseline.from_run(run(ROWS), date="2026-03-01").summary
    assert list(summary.categories) == ["math", "qa"]
    qa = summary.categories["qa"]
    assert (qa.prompts, qa.al_macro, qa.output_tokens) == (1, 2.6667, 11)
    assert qa.conditional_rates == (0.6667, 1.0, 0.5)
    assert summary.overall.prompts == 2
    assert summary.al_category_macro == round((2 + 1 + 5 / 3) / 2, 4)


def test_what_ran_is_recorded() -> None:
    recorded = Baseline.from_run(run(ROWS), date="2026-03-01").recorded
    assert (recorded.date, recorded.target, recorded.drafter) == ("2026-03-01", "target", "eagle3:head")
    assert recorded.drafter_sha256 == "d" * 64
    assert recorded.engine_args == {"dtype": "float32", "tensor_parallel_size": 2}
    assert recorded.split_prompts == 2


def test_equal_outputs_have_equal_hashes_and_turns_are_kept_apart() -> None:
    short, long = turn([0]), turn([1])
    assert output_sha256(conversation("1", "qa", short, long)) == output_sha256(conversation("2", "x", short, long))
    assert output_sha256(conversation("1", "qa", short, long)) != output_sha256(conversation("1", "qa", long, short))
    one_two = replace(short, output_ids=(1, 2)), replace(short, output_ids=())
    one_and_two = replace(short, output_ids=(1,)), replace(short, output_ids=(2,))
    assert output_sha256(conversation("1", "qa", *one_two)) != output_sha256(conversation("1", "qa", *one_and_two))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no prompts"),
        ([conversation("1", "qa", turn([1], record=False))], r"no acceptance record for 1 of 1 prompts \(1\)"),
        ([conversation("1", "qa", turn([1])), conversation("1", "math", turn([1]))], "more than once: 1"),
        (
            [conversation("1", "qa", replace(turn([1]), output_ids=(5,)))],
            "prompt '1': 1 output tokens are stated, but the steps of its 1 turns make 3",
        ),
    ],
)
def test_a_run_that_cannot_be_a_baseline(rows: list[object], message: str) -> None:
    with pytest.raises(BaselineError, match=message):
        Baseline.from_run(run(rows), date="2026-03-01")  # type: ignore[arg-type]


def test_a_target_alone_has_no_acceptance_to_keep() -> None:
    with pytest.raises(BaselineError, match="has no drafter"):
        Baseline.from_run(without_drafter(run(ROWS)), date="2026-03-01")


def test_a_run_that_a_gate_stopped_is_no_baseline() -> None:
    with pytest.raises(BaselineError, match="was stopped early in qa"):
        Baseline.from_run(replace(run(ROWS), stopped={"qa": 16}), date="2026-03-01")


def test_a_baseline_checks_itself() -> None:
    baseline = Baseline.from_run(run(ROWS), date="2026-03-01")
    baseline.check()
    fewer = msgspec.structs.replace(baseline, prompts=baseline.prompts[:1])
    with pytest.raises(ValueError, match="edited by hand"):
        fewer.check()
    twice = msgspec.structs.replace(baseline, prompts=baseline.prompts + baseline.prompts[:1])
    with pytest.raises(ValueError, match="more than once: 1"):
        twice.check()
