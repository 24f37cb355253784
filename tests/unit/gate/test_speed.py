"""Ratios of speeds, their intervals, and the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

import msgspec
import numpy as np
import pytest
from scipy import stats

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.calibration import Calibration
from pytest_speedbench.baselines.rounds import RoundSpeeds
from pytest_speedbench.config import GatePolicyName
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.gate.speed import (
    AgainstStored,
    Interleaved,
    SpeedResult,
    TakenRound,
    compare_speed,
    for_speed,
    incomparable_speed,
)
from pytest_speedbench.gate.verdict import GatePolicy, Verdict
from pytest_speedbench.measure.run import Run
from pytest_speedbench.metrics.rounds import RoundSpeed
from pytest_speedbench.sweeps.interleaved import interleaved_order
from pytest_speedbench.tolerance import SPEED_METRICS, parse_tolerance
from tests.unit.metrics import runs

NOTHING = RoundSpeed(None, None, None, None, None)


def interleaved(logs: Sequence[float], metric: str = "output_tps", concurrency: int = 8) -> Interleaved:
    """Rounds in the order of the comparison, with one figure each."""
    order = interleaved_order(len(logs) // 2)
    starts = np.concatenate([[0], np.cumsum(np.diff(order))])
    rounds = (
        TakenRound(side, int(start), replace(NOTHING, **{metric: exp(value)}))
        for side, start, value in zip(order, starts, logs, strict=True)
    )
    return Interleaved(concurrency, tuple(rounds))


def with_noise(
    rounds: int, ratio: float, *, noise: float = 0.01, start_noise: float = 0.0, seed: int = 0, **where: object
) -> Interleaved:
    rng = np.random.default_rng(seed)
    order = np.array(interleaved_order(rounds))
    starts = np.concatenate([[0], np.cumsum(np.diff(order))])
    logs = 4 + log(ratio) * order + rng.normal(0, noise, order.size)
    logs += rng.normal(0, start_noise, starts.max() + 1)[starts]
    return interleaved(logs.tolist(), **where)  # type: ignore[arg-type]


def judged(
    *compared: Interleaved | AgainstStored, tolerance: str = "1%", mode: GatePolicyName = "detect"
) -> SpeedResult:
    policy = GatePolicy(parse_tolerance(tolerance, "tolerance"), 0.01, mode)
    return compare_speed(compared, policy, against="the other")


def stored(*figures: float | None) -> RoundSpeeds:
    nothing = (None,) * len(figures)
    return RoundSpeeds(output_tps=figures, user_tps=nothing, ttft=nothing, e2e=nothing, step_time=nothing)


@pytest.mark.parametrize("rounds", [3, 4, 5, 6])
@pytest.mark.parametrize("drift", [0.0, -0.05])
def test_a_linear_drift_changes_no_ratio(rounds: int, drift: float) -> None:
    order = np.array(interleaved_order(rounds))
    logs = 3 + drift * (np.arange(order.size) - rounds + 0.5) + log(0.9) * order
    estimate = interleaved(logs.tolist()).estimate("output_tps")
    assert estimate.difference == pytest.approx(log(0.9))
    assert estimate.reference == pytest.approx(3)
    assert estimate.half_width(0.001) == pytest.approx(0, abs=1e-9)


def test_the_interval_is_that_of_least_squares_over_the_means_of_starts() -> None:
    logs = np.random.default_rng(1).normal(size=8)
    means = [logs[0], logs[1:3].mean(), logs[3], logs[4], logs[5:7].mean(), logs[7]]
    terms = np.column_stack([np.ones(6), [0, 1, 0, 1, 0, 1], [0, 1.5, 3, 4, 5.5, 7]])
    found, residual, _, _ = np.linalg.lstsq(terms, means, rcond=None)
    error = (residual[0] / 3 * np.linalg.inv(terms.T @ terms)[1, 1]) ** 0.5
    estimate = interleaved(logs.tolist()).estimate("output_tps")
    assert estimate.difference == pytest.approx(found[1])
    assert estimate.half_width(0.025) == pytest.approx(stats.t.isf(0.025, 3) * error)
    assert estimate.p_value(-0.2, 1) == pytest.approx(stats.t.cdf((found[1] + 0.2) / error, 3))
    assert estimate.p_value(-0.2, -1) == pytest.approx(stats.t.cdf((0.2 - found[1]) / error, 3))


def test_rounds_that_share_a_start_do_not_count_as_more() -> None:
    """What rounds agree on inside of a start says nothing of how starts differ."""
    logs = [0.0, 0.1, 0.1, 0.05, 0.02, -0.03, -0.03, 0.08]
    apart = [0.0, 0.3, -0.1, 0.05, 0.02, -0.23, 0.17, 0.08]
    first, second = (interleaved(values).estimate("output_tps") for values in (logs, apart))
    assert first.half_width(0.01) == pytest.approx(second.half_width(0.01))


@pytest.mark.parametrize("start_noise", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("rounds", [3, 6])
def test_the_interval_covers_also_where_starts_differ(rounds: int, start_noise: float) -> None:
    covered = 0
    for seed in range(600):
        estimate = with_noise(rounds, 0.95, start_noise=start_noise, seed=seed).estimate("output_tps")
        covered += abs(estimate.difference - log(0.95)) <= estimate.half_width(0.025)
    assert covered >= stats.binom.ppf(1e-3, 600, 0.95)


@pytest.mark.parametrize("today", [[95.0, 96.0, 94.5], [95.0, 105.0, 85.0]])
def test_stored_rounds_have_the_wider_of_two_intervals(today: list[float]) -> None:
    before = [100.0, 103.0, 98.0, 101.0, 99.0]
    estimate = AgainstStored(1, stored(*before), stored(*today)).estimate("output_tps")
    bounds = [
        stats.ttest_ind(np.log(today), np.log(before), equal_var=equal).confidence_interval(0.98)
        for equal in (True, False)
    ]
    assert estimate.difference == pytest.approx(log(stats.gmean(today) / stats.gmean(before)))
    assert estimate.difference - estimate.half_width(0.01) == pytest.approx(min(low for low, _ in bounds))


def test_a_single_round_of_today_has_the_spread_of_the_stored_ones() -> None:
    before = np.log([100.0, 103.0, 98.0, 101.0])
    estimate = AgainstStored(1, stored(*np.exp(before)), stored(90.0)).estimate("output_tps")
    error = before.std(ddof=1) * (1 + 1 / 4) ** 0.5
    assert estimate.half_width(0.01) == pytest.approx(stats.t.isf(0.01, 3) * error)


@pytest.mark.parametrize(("metric", "loss"), [("output_tps", 0.8), ("user_tps", 0.8), ("ttft", 1.25), ("e2e", 1.25)])
def test_a_drop_of_a_throughput_and_a_rise_of_a_time_are_losses(metric: str, loss: float) -> None:
    (worse,) = judged(with_noise(6, loss, metric=metric)).rows
    (better,) = judged(with_noise(6, 1 / loss, metric=metric)).rows
    assert worse.verdict is Verdict.REGRESSION
    assert better.verdict is Verdict.NO_REGRESSION
    assert worse.ratio == pytest.approx(loss, rel=0.03)
    assert worse.reference is not None
    assert worse.candidate == pytest.approx(worse.reference * (worse.ratio or 0))
    assert worse.lower is not None
    assert worse.upper is not None
    assert worse.lower < loss < worse.upper


def test_a_loss_within_the_tolerance_and_one_that_cannot_be_seen() -> None:
    (fine,) = judged(with_noise(6, 0.97, noise=0.001)).rows
    assert (fine.verdict, fine.tolerance) == (Verdict.NO_REGRESSION, 0.05)
    result = judged(with_noise(6, 0.97, noise=0.05))
    (unclear,) = result.rows
    assert unclear.verdict is Verdict.UNDECIDED
    assert not result.failed
    assert unclear.detectable_loss is not None
    assert unclear.detectable_loss > 0.1
    assert judged(with_noise(6, 0.97, noise=0.05), mode="prove").failed


@pytest.mark.parametrize("metric", ["output_tps", "ttft"])
def test_a_detectable_loss_is_found_about_four_times_in_five(metric: str) -> None:
    sign = 1 if metric == "output_tps" else -1
    reach = 0.01 * (1 / 5 + 1 / 4) ** 0.5  # about the standard error: starts of one round have noise 0.01
    loss = exp(-sign * (log(1.05) + reach * (stats.t.isf(0.01, 6) + stats.t.isf(0.2, 6))))
    rows = [judged(with_noise(6, loss, metric=metric, seed=seed)).rows[0] for seed in range(300)]
    found = sum(row.verdict is Verdict.REGRESSION for row in rows)
    assert 0.7 < found / 300 < 0.97
    assert np.median([row.detectable_loss or 0 for row in rows]) == pytest.approx(abs(loss - 1), rel=0.2)


def test_verdict_and_interval_agree() -> None:
    for seed in range(300):
        (row,) = judged(with_noise(4, 0.95, noise=0.02, seed=seed), tolerance="output_tps=4%").rows
        assert row.lower is not None
        assert row.upper is not None
        assert (row.verdict is Verdict.REGRESSION) == (row.upper <= 0.96)
        assert (row.verdict is Verdict.NO_REGRESSION) == (row.lower >= 0.96)


def test_all_figures_at_all_concurrencies_are_one_family() -> None:
    alone = judged(with_noise(3, 0.85, seed=5))
    many = judged(*(with_noise(3, 0.85 if n == 1 else 1.0, seed=4 + n, concurrency=n) for n in range(1, 10)))
    assert [row.concurrency for row in many.rows] == list(range(1, 10))
    assert (alone.family, many.family) == (1, 9)
    assert alone.rows[0].p_value == many.rows[0].p_value
    assert alone.rows[0].adjusted_p_value == alone.rows[0].p_value
    assert many.rows[0].adjusted_p_value == pytest.approx(9 * (alone.rows[0].p_value or 0))
    assert many.rows[0].level == pytest.approx(0.01 / 9)


def test_an_absolute_tolerance_is_in_the_figures_unit() -> None:
    slower = with_noise(6, 0.9, noise=0.001)  # 54.6 tokens per second
    assert judged(slower, tolerance="output_tps=6abs").rows[0].verdict is Verdict.NO_REGRESSION
    assert judged(slower, tolerance="output_tps=5abs").rows[0].verdict is Verdict.REGRESSION
    (row,) = judged(slower, tolerance="output_tps=100abs").rows
    assert (row.verdict, row.detectable_loss) == (Verdict.NO_REGRESSION, 1.0)


def test_the_tolerance_of_a_time_is_a_share_that_it_may_rise() -> None:
    times = stored(1.0, 1.0, 1.0)
    reference = msgspec.structs.replace(times, output_tps=(None,) * 3, ttft=times.output_tps)
    for now, verdict in ((1.49, Verdict.NO_REGRESSION), (1.51, Verdict.REGRESSION)):
        candidate = msgspec.structs.replace(stored(None), ttft=(now,))
        (row,) = judged(AgainstStored(1, reference, candidate), tolerance="ttft=50%").rows
        assert row.verdict is verdict


def test_other_outputs_are_noted() -> None:
    measured = replace(with_noise(6, 1.0), different_outputs=3)
    assert judged(measured).notes[0].startswith("3 prompts have other outputs on the two sides at concurrency 8")


def test_equal_rounds_are_known_exactly() -> None:
    same = AgainstStored(1, stored(100.0, 100.0, 100.0), stored(95.5))
    (row,) = judged(same).rows
    assert (row.verdict, row.lower) == (Verdict.NO_REGRESSION, row.upper)
    (row,) = judged(replace(same, candidate=stored(94.5))).rows
    assert row.verdict is Verdict.REGRESSION


def test_what_the_reference_lacks_is_not_compared_and_what_the_candidate_lacks_is_missing() -> None:
    result = judged(AgainstStored(8, stored(100.0, 101.0, 99.0), stored(100.0, None)))
    (row,) = result.rows
    assert row.verdict is Verdict.MISSING
    assert row.reason == "no figure in 1 of the candidate's 2 rounds"
    assert (row.ratio, row.lower, row.reference) == (None, None, None)
    assert (result.failed, result.family) == (True, 0)
    assert len(result.notes) == len(SPEED_METRICS) - 1
    assert "ttft at concurrency 8 is not compared: the reference has none." in result.notes


def test_a_side_without_rounds_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        judged(AgainstStored(8, stored(100.0), stored()))
    with pytest.raises(ValueError, match="starts of the engine"):
        interleaved([0.0, 0.0, 0.0, 0.0]).estimate("output_tps")


def test_a_plain_tolerance_given_to_a_speed_comparison_holds_for_its_figures() -> None:
    rules = for_speed("10%,ttft=20%,step_time=0.1abs")
    assert rules is not None
    assert [str(rules.of(metric, "overall")) for metric in SPEED_METRICS] == [
        "10.0%", "10.0%", "20.0%", "10.0%", "0.1 absolute",
    ]  # fmt: skip
    assert for_speed("ttft=20%") == parse_tolerance("ttft=20%", "tolerance")
    assert for_speed(None) is None
    with pytest.raises(ConfigError, match="tokens per second and for seconds"):
        for_speed("0.1abs")


def a_run() -> Run:
    return runs.run([runs.conversation("a", "math", runs.turn([3, 2])), runs.conversation("b", "math", runs.turn([1]))])


def test_a_baseline_is_a_reference_only_on_equal_hardware_with_rounds_of_the_same_prompts() -> None:
    run = a_run()
    good = Baseline.from_runs([run, run, run], date="2026-01-02")
    assert good.calibration is not None
    assert incomparable_speed(good, run, ["b", "a"]) == ""

    elsewhere = replace(run, engine=replace(run.engine, device="B200"))
    note = incomparable_speed(good, elsewhere, ["a", "b"])
    assert note == (
        "Throughput is not gated: the baseline of 2026-01-02 was recorded on other hardware: "
        "device: CPU in the baseline, B200 now."
    )
    assert "other prompts" in incomparable_speed(good, run, ["a"])
    assert "2 rounds" in incomparable_speed(Baseline.from_runs([run, run], date="2026-01-02"), run, ["a", "b"])
    silent: Calibration = msgspec.structs.replace(good.calibration, rounds=None)
    unknown = msgspec.structs.replace(good, calibration=silent)
    assert "no rounds" in incomparable_speed(unknown, run, ["a", "b"])
    assert "no rounds" in incomparable_speed(Baseline.from_run(run, date="2026-01-02"), run, ["a", "b"])


def test_what_may_not_be_compared_fails_nothing() -> None:
    result = compare_speed([], GatePolicy(mode="prove"), against="it", notes=["Throughput is not gated: so."])
    assert (result.failed, result.rows, result.family) == (False, (), 0)
    assert result.notes == ("Throughput is not gated: so.",)


def test_the_figures_of_a_round() -> None:
    speed = RoundSpeed.of(a_run())
    assert speed.ttft == runs.TTFT_S
    assert speed.step_time == runs.STEP_S
    assert speed.e2e == pytest.approx(runs.TTFT_S + 1.5 * runs.STEP_S)
    assert speed.user_tps == pytest.approx((7 / (2 * runs.STEP_S) + 2 / runs.STEP_S) / 2)
    assert speed.output_tps == pytest.approx(11 / (runs.TTFT_S + 2 * runs.STEP_S))
    assert RoundSpeed.of(runs.run([])) == NOTHING
    one_token = RoundSpeed.of(runs.run([runs.conversation("a", "math", runs.turn([]))]))
    assert (one_token.user_tps, one_token.step_time) == (None, None)


def test_stored_rounds_survive_json_and_are_checked() -> None:
    speeds = RoundSpeeds.of_runs([a_run(), a_run()])
    assert speeds.rounds == 2
    assert speeds.output_tps == pytest.approx((8.8, 8.8))
    assert msgspec.json.decode(msgspec.json.encode(speeds), type=RoundSpeeds) == speeds
    with pytest.raises(ValueError, match="1 of user_tps"):
        msgspec.structs.replace(speeds, user_tps=(1.0,))
    with pytest.raises(msgspec.ValidationError, match="ttft is not above 0"):
        msgspec.json.decode(msgspec.json.encode(speeds).replace(b"0.25", b"0.0"), type=RoundSpeeds)
