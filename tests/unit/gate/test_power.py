"""Planning: what a baseline's prompts see, how many are needed, and whether simulated gates keep the promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.baselines import Baseline
from pytest_speedbench.gate import GatePolicy, Pairing, PromptPair, StepCounts, compare
from pytest_speedbench.gate.effects import RunNoise
from pytest_speedbench.gate.power import FigurePlan, Need, PowerPlan, RowPlan, plan
from pytest_speedbench.report.power import power_lines
from pytest_speedbench.tolerance import parse_tolerance
from tests.unit.metrics.runs import conversation, run, turn

LEVEL = 0.01 / 10
Lengths = NDArray[np.float64]


def chances(lengths: Lengths) -> Lengths:
    """The chance of each of three draft tokens to be accepted that makes these lengths."""
    grid = np.linspace(0, 1, 10_001)
    return np.asarray(np.interp(lengths, 1 + grid + grid**2 + grid**3, grid))


def histograms(rng: np.random.Generator, lengths: Lengths, tokens: Lengths) -> NDArray[np.int64]:
    p = chances(lengths)
    shares = np.stack([1 - p, p * (1 - p), p**2 * (1 - p), p**3], axis=1)
    steps = np.maximum(1, np.round(tokens / lengths)).astype(int)
    return np.array([rng.multinomial(n, share) for n, share in zip(steps, shares, strict=True)])


def world(rng: np.random.Generator, prompts: int) -> tuple[Lengths, Lengths]:
    """Lengths and output tokens of one category's prompts."""
    return np.clip(rng.normal(2.5, 0.35, prompts), 1.05, 3.9), np.clip(rng.lognormal(5.6, 0.85, prompts), 8, 4096)


def baseline_of(categories: dict[str, NDArray[np.int64]], *, repeats: Sequence[int] = ()) -> Baseline:
    """A baseline with these histograms; each of ``repeats`` is a further run with so many more steps of length 1."""

    def measured(more: int) -> list[list[int]]:
        return [[j for j, steps in enumerate([row[0] + more, *row[1:]]) for _ in range(steps)] for row in rows]

    rows = [row for histogram in categories.values() for row in histogram.tolist()]
    names = [(f"{c}-{n}", c) for c, histogram in categories.items() for n in range(len(histogram))]
    runs = [
        run([conversation(*name, turn(accepted)) for name, accepted in zip(names, measured(more), strict=True)])
        for more in (0, *repeats)
    ]
    return Baseline.from_runs(runs, date="2026-03-01")


def seeded(prompts: int = 20, categories: str = "abcd", seed: int = 1) -> Baseline:
    rng = np.random.default_rng(seed)
    return baseline_of({name: histograms(rng, *world(rng, prompts)) for name in categories})


def row_of(planned: PowerPlan, name: str) -> RowPlan:
    return next(row for row in planned.all_rows if row.name == name)


def counts(histogram: Sequence[int]) -> StepCounts | None:
    return StepCounts.of([AcceptanceRecord(3, tuple(int(steps) for steps in histogram), None)], undrafted=False)


@pytest.mark.parametrize(("prompts", "lost"), [(12, "a"), (40, "a"), (20, "abcd")])
def test_simulated_gates_find_what_was_planned(prompts: int, lost: str) -> None:
    planned = plan(seeded(prompts), [0.1], GatePolicy())
    row = row_of(planned, "overall" if len(lost) > 1 else lost)
    assert row.detectable is not None
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(200):
        pairs = []
        for name in "abcd":
            lengths, tokens = world(rng, prompts)
            now = lengths * (1 - row.detectable) if name in lost else lengths
            sides = zip(histograms(rng, lengths, tokens), histograms(rng, now, tokens), strict=True)
            pairs += [PromptPair(f"{name}-{n}", name, counts(b), counts(a)) for n, (b, a) in enumerate(sides)]
        result = compare(Pairing(tuple(pairs), draft_length=3))
        assert result.family == planned.tests
        found += row.name in result.regressed
    assert 140 <= found <= 180, f"{found} of 200 at a drop of {row.detectable:.1%}"


def test_smaller_drops_and_early_stopping_need_more() -> None:
    planned = plan(seeded(), [0.03, 0.05, 0.2], GatePolicy())
    assert planned.tests == 10  # two lengths of four categories and of all together
    assert planned.level == pytest.approx(LEVEL)
    for row in planned.all_rows:
        small, middle, large = (need.prompts for need in row.needs)
        assert small is not None
        assert middle is not None
        assert large is not None
        assert small > middle > large
        for need in row.needs:
            assert need.early is not None
            assert need.prompts is not None
            assert need.prompts <= need.early <= 1.2 * need.prompts + 2
        assert row.detectable is not None
        assert row.detectable_early is not None
        assert row.detectable < row.detectable_early < 1.1 * row.detectable


def test_a_baseline_of_as_many_prompts_as_needed_sees_the_drop() -> None:
    (need,) = row_of(plan(seeded(categories="a"), [0.05], GatePolicy()), "a").needs
    assert need.prompts is not None
    more = plan(seeded(need.prompts, categories="a", seed=1), [0.05], GatePolicy())
    (row,) = more.rows
    assert row.detectable == pytest.approx(0.05, rel=0.15)  # other prompts, not just more of the same


def test_twice_the_prompts_see_what_was_planned_for_them() -> None:
    rng = np.random.default_rng(3)
    histogram = histograms(rng, *world(rng, 15))
    policy = GatePolicy()
    at_hand = plan(baseline_of({"a": np.concatenate([histogram, histogram])}), [], policy).rows[0]
    assert at_hand.detectable is not None
    once = plan(baseline_of({"a": histogram}), [at_hand.detectable], policy).rows[0]
    assert once.needs[0].prompts == pytest.approx(30, abs=1)


def test_rows_tolerances_and_tests() -> None:
    planned = plan(seeded(), [0.05], GatePolicy(parse_tolerance("1%,b=4%,ar1=2%", "t")))
    assert [row.name for row in planned.all_rows] == ["a", "b", "c", "d", "overall"]
    assert planned.tests == 15  # acceptance rate 1 is gated too
    assert (row_of(planned, "b").tolerance, row_of(planned, "a").tolerance) == (0.04, 0.01)
    assert 0.01 < row_of(planned, "overall").tolerance < 0.04
    assert "the baseline of small on split" in planned.against
    assert (planned.figure, planned.runs, planned.unusable) == ("acceptance length", None, 0)
    assert plan(seeded(categories="a"), [0.05], GatePolicy()).overall is None


def test_a_drop_within_the_tolerance_is_not_to_be_found() -> None:
    planned = plan(seeded(), [0.01, 0.005], GatePolicy())
    expected = tuple(Need(drop, None, None, accepted=True) for drop in (0.01, 0.005))
    assert all(row.needs == expected for row in planned.rows)


def test_more_power_and_less_error_take_more_prompts() -> None:
    baseline = seeded()

    def needed(power: float, error: float) -> int:
        prompts = plan(baseline, [0.05], GatePolicy(family_error=error), power=power).rows[0].needs[0].prompts
        assert prompts is not None
        return prompts

    assert needed(0.95, 0.01) > needed(0.8, 0.01) > needed(0.8, 0.05)


def test_two_prompts_are_not_judged_but_planned_for() -> None:
    (row,) = plan(seeded(2, "a"), [0.05], GatePolicy()).rows
    assert (row.detectable, row.detectable_early) == (None, None)
    assert row.needs[0].prompts is not None
    assert row.needs[0].prompts > 3


def test_a_prompt_without_a_decode_step_is_left_out() -> None:
    measured = run(
        [*(conversation(str(n), "a", turn([1, 2, 3, 0])) for n in range(4)), conversation("x", "a", turn([]))]
    )
    planned = plan(Baseline.from_run(measured, date="2026-03-01"), [0.05], GatePolicy())
    assert (planned.unusable, planned.rows[0].prompts) == (1, 4)
    only = Baseline.from_run(run([conversation("x", "a", turn([]))]), date="2026-03-01")
    with pytest.raises(ValueError, match="no prompt with a decode step"):
        plan(only, [0.05], GatePolicy())


def test_a_category_that_no_gate_can_judge_is_named() -> None:
    decoded = [conversation(f"{c}{n}", c, turn([1, 2, 3, 0])) for c in "ab" for n in range(4)]
    ended = [conversation(f"b{n}", "b", turn([])) for n in range(4, 8)]
    planned = plan(Baseline.from_run(run([*decoded, *ended]), date="2026-03-01"), [0.05], GatePolicy())
    assert [row.name for row in planned.all_rows] == ["a"]
    assert planned.unusable == 4
    reason = "4 of 8 prompts can be compared, and a verdict needs 80% of them: 4 without a verify step on either side"
    assert planned.not_judged == {"b": reason}
    assert any("b: no gate can judge it. 4 of 8" in line for line in power_lines(planned, width=160, colour=False))


@pytest.mark.parametrize("drop", [0.0, 1.0, -0.1])
def test_what_is_no_drop(drop: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        plan(seeded(), [drop], GatePolicy())


def test_noise_of_whole_runs_bounds_what_any_number_of_prompts_sees() -> None:
    rng = np.random.default_rng(4)
    histogram = {name: histograms(rng, np.full(20, 2.5), np.full(20, 300.0)) for name in "ab"}
    quiet = plan(baseline_of(histogram), [0.02, 0.5], GatePolicy())
    noisy = plan(baseline_of(histogram, repeats=(12, 3, 9, 1)), [0.02, 0.5], GatePolicy())
    assert quiet.rows[0].detectable_by_noise is None
    assert noisy.runs == 5
    row = noisy.rows[0]
    assert row.detectable is not None
    assert quiet.rows[0].detectable is not None
    assert row.detectable_by_noise is not None
    assert quiet.rows[0].detectable < row.detectable_by_noise <= row.detectable
    assert row.needs[0] == Need(0.02, None, None, by_noise=True)
    assert not row.needs[1].by_noise
    assert quiet.rows[0].needs[0].prompts is not None


def test_noise_adds_to_the_scatter_of_prompts() -> None:
    figure = FigurePlan("al_macro", 20, 0.01, 0.4, 1.0, RunNoise(0.0, 4))
    one = np.array([20.0])
    level = np.array([LEVEL])
    assert figure.detectable(one, level, 0.8) == replace(figure, noise=None).detectable(one, level, 0.8)
    loud = replace(figure, noise=RunNoise(0.01, 4))
    assert float(loud.detectable(one, level, 0.8)[0]) > float(figure.detectable(one, level, 0.8)[0])


def test_steps_without_a_draft_are_counted() -> None:
    steps = [None, 1, 2, None, 0, 3]
    measured = run([conversation(f"{n}", "a", turn(steps[n % 3 :])) for n in range(5)])
    planned = plan(Baseline.from_run(measured, date="2026-03-01"), [0.3], GatePolicy())
    assert planned.figure == "tokens per decode step"


def test_it_is_plain_data() -> None:
    plain = msgspec.to_builtins(plan(seeded(), [0.05], GatePolicy()))
    assert plain["rows"][0]["needs"][0]["drop"] == 0.05
    assert list(plain["rows"][0]) == list(RowPlan.__dataclass_fields__)
    assert plain["power"] == 0.8
