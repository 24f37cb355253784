"""How many greedy outputs may differ from the baseline's, by the rule that the documents state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from scipy.stats import binom

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.calibration import Calibration
from pytest_speedbench.baselines.store import read_baseline
from pytest_speedbench.gate import GatePolicy, compare, failure_message, pair_up
from pytest_speedbench.gate.outputs import ComparedOutputs, OutputPair, compared_outputs, judge_outputs, most_different
from pytest_speedbench.gate.unpaired import pairing_of_baselines
from pytest_speedbench.measure.run import Run
from pytest_speedbench.numerics import Exposure
from tests.unit.metrics.runs import conversation, run, turn

TOKENS, PROMPTS = 64, 36


def outputs(
    different: int,
    *,
    dtype: str | None = "float32",
    tokens: int = TOKENS,
    opening: bool | None = None,
    of: int = PROMPTS,
) -> ComparedOutputs:
    """So many of the outputs differ; with ``opening``, whether those open alike."""
    pairs = [
        OutputPair(f"q{i}", "qa", tokens, i >= different, None if opening is None else i >= different or opening, 0.0)
        for i in range(of)
    ]
    return ComparedOutputs((tuple(pairs),), dtype)


def fails(compared: ComparedOutputs, level: float = 0.01) -> bool:
    finding = judge_outputs(compared, "calibrated", level)
    assert finding is not None
    return finding.failed


@pytest.mark.parametrize(("of", "share"), [(36, 0.0064), (176, 0.47), (5, 0.0064), (1, 0.5), (40, 0.0), (3, 1.0)])
def test_the_most_that_may_differ_is_the_binomials_quantile(of: int, share: float) -> None:
    most = most_different(of, share, 0.01)
    assert binom.sf(most, of, share) <= 0.01
    assert most == 0 or binom.sf(most - 1, of, share) > 0.01


@pytest.mark.parametrize(("dtype", "most"), [("float32", 2), ("float16", 9), ("bfloat16", 24), (None, 24)])
def test_the_dtype_says_how_many_may_differ(dtype: str | None, most: int) -> None:
    assert not fails(outputs(most, dtype=dtype))
    assert fails(outputs(most + 1, dtype=dtype))


@pytest.mark.parametrize(
    ("dtypes", "coarser"),
    [
        (("float32", "torch.float32"), "float32"),
        (("float32", "half"), "float16"),
        (("bfloat16", "float16"), "bfloat16"),
        (("float32", None), None),
        (("fp8", "float32"), None),
    ],
)
def test_the_coarser_dtype_of_both_sides_counts(dtypes: Sequence[str | None], coarser: str | None) -> None:
    assert compared_outputs({}, [], dtypes).dtype == coarser


def test_all_of_few_prompts_are_too_many_in_float32() -> None:
    assert [fails(outputs(n, of=n)) for n in (1, 2, 5)] == [True, True, True]
    assert not fails(outputs(1, of=5))


def test_long_outputs_of_a_16_bit_target_are_told_by_how_they_open() -> None:
    long = outputs(PROMPTS, dtype="bfloat16", tokens=4096)
    assert not fails(long), "rounding may have done that"
    assert not fails(outputs(PROMPTS, dtype="bfloat16", tokens=4096, opening=True))
    told = judge_outputs(outputs(PROMPTS, dtype="bfloat16", tokens=4096, opening=False), "calibrated", 0.01)
    assert told is not None
    assert told.failed
    assert told.openings
    assert told.sentence("X") == (
        "36 of 36 greedy outputs open otherwise than those of X, and rounding in bfloat16 explains at most 11."
    )


def test_a_calibration_allows_for_what_it_saw() -> None:
    assert not fails(replace(outputs(20), calibrated=0.5))
    assert fails(replace(outputs(34), calibrated=0.5))
    assert not fails(replace(outputs(PROMPTS, opening=False), calibrated=1.0))


def test_replayed_outputs_may_differ_as_their_margins_say() -> None:
    compared = outputs(20)
    exposed = replace(compared, runs=(tuple(replace(pair, turned=0.5) for pair in compared.runs[0]),))
    unknown = replace(compared, runs=(tuple(replace(pair, turned=None) for pair in compared.runs[0]),))
    assert [fails(compared), fails(exposed), fails(unknown)] == [True, False, False]


def test_the_worst_of_several_runs_decides() -> None:
    fine, bad = outputs(0), outputs(PROMPTS)
    assert fails(replace(fine, runs=(*fine.runs, *bad.runs)))


def test_equal_and_note_are_what_they_say() -> None:
    judged = {policy: judge_outputs(outputs(1), policy, 0.01) for policy in ("equal", "calibrated", "note")}
    assert {policy: finding and finding.failed for policy, finding in judged.items()} == {
        "equal": True,
        "calibrated": False,
        "note": False,
    }


def measured(prompts: int = 12, *, shift: int = 0, changed: int = 0) -> Run:
    """Prompts of 21 output tokens; the first ``changed`` differ from token ``shift`` on."""
    rows = []
    for i in range(prompts):
        one = turn([3] * 5)
        ids = tuple(t + 50 if i < changed and t >= shift else t for t in one.output_ids)
        rows.append(conversation(f"q{i:02}", "qa", replace(one, output_ids=ids)))
    return run(rows)


def stored(of: Run) -> Baseline:
    return Baseline.from_run(of, date="2026-03-01")


def test_a_baseline_tells_where_the_first_difference_lies_by_its_openings() -> None:
    for shift, where in ((0, "within"), (18, "after")):
        result = compare(pair_up(stored(measured()), measured(changed=12, shift=shift)))
        assert result.failed
        assert not result.rows_failed
        assert result.outputs is not None
        assert result.outputs.first == f"q00 (qa), {where} its first 16 tokens"


def test_a_run_tells_it_by_the_token() -> None:
    result = compare(pair_up(measured(), measured(changed=12, shift=18)))
    assert result.outputs is not None
    assert result.outputs.first == "q00 (qa), turn 1, at output token 19"


def test_two_baselines_are_compared_too() -> None:
    result = compare(pairing_of_baselines(stored(measured()), stored(measured(changed=12))))
    assert result.outputs_failed
    assert not compare(pairing_of_baselines(stored(measured()), stored(measured()))).outputs_failed


def test_a_baseline_without_openings_is_held_to_its_outputs() -> None:
    old = stored(measured())
    old = msgspec.structs.replace(
        old, prompts=tuple(msgspec.structs.replace(p, opening_sha256=None) for p in old.prompts)
    )
    assert compare(pair_up(old, measured(changed=12))).outputs_failed
    assert not compare(pair_up(old, measured())).outputs_failed


def test_sampled_outputs_are_not_compared() -> None:
    one, other = measured(), measured(changed=12)
    sampled = [replace(r, sampling=replace(r.sampling, temperature=1.0)) for r in (one, other)]
    assert compare(pair_up(sampled[0], sampled[1])).outputs is None


def test_a_replay_brings_its_margins() -> None:
    once = measured(changed=12)
    rows = []
    for c in once.conversations:
        record = c.turns[0].acceptance
        assert record is not None
        replayed = replace(record, source=type(record.source).REPLAY)
        rows.append(replace(c, turns=(replace(c.turns[0], acceptance=replayed, exposure=Exposure(0.9, 0.1)),)))
    assert not compare(pair_up(stored(measured()), replace(once, conversations=tuple(rows)))).outputs_failed


def test_the_calibration_of_a_baseline_counts() -> None:
    def calibrated(runs: Sequence[Run]) -> Baseline:
        return msgspec.structs.replace(stored(runs[0]), calibration=Calibration.of_runs(runs, "2026-03-01"))

    noisy = calibrated([measured(), measured(changed=6, shift=18), measured(changed=5, shift=17)])
    now = measured(changed=7, shift=19)
    assert not compare(pair_up(noisy, now)).outputs_failed
    assert compare(pair_up(stored(measured()), now)).outputs_failed


def test_a_regression_beside_it_is_told_after_it() -> None:
    lost = measured(changed=12)
    rows = [replace(c, turns=(replace(turn([0] * 20), output_ids=c.turns[0].output_ids),)) for c in lost.conversations]
    result = compare(pair_up(stored(measured()), replace(lost, conversations=tuple(rows))), GatePolicy())
    text = failure_message(result)
    assert text.startswith("12 of 12 greedy outputs differ")
    assert text.index("Acceptance length dropped") > text.index("--speedbench-outputs=note")


@pytest.mark.parametrize("pair", ["tiny-eagle3", "tiny-draft", "tiny-ngram", "tiny-eagle3-pruned"])
def test_the_committed_baselines_share_their_outputs(pair: str, request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "baselines"
    one, other = (read_baseline(folder / name / "mini.json", record_command="") for name in ("tiny-eagle3", pair))
    result = compare(pairing_of_baselines(one, other))
    assert result.outputs is not None
    assert (result.outputs.different, result.outputs_failed) == (0, False)


def test_outputs_of_which_any_number_may_differ_show_nothing_and_it_is_said() -> None:
    finding = judge_outputs(outputs(3, dtype="bfloat16", of=3), "calibrated", 0.01)
    assert finding is not None
    assert not finding.failed
    assert finding.blind == (
        "3 of 3 greedy outputs differ, and rounding in bfloat16 would explain all of so few and so long ones: that the "
        "target is the same is not shown."
    )
    for seen, policy in ((outputs(0, dtype="bfloat16", of=3), "calibrated"), (outputs(3, of=3), "note")):
        fine = judge_outputs(seen, policy, 0.01)  # type: ignore[arg-type]
        assert fine is not None
        assert not fine.blind
