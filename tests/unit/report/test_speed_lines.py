"""A speed comparison in words."""

from __future__ import annotations

import msgspec
import pytest

from pytest_speedbench.config import GatePolicyName
from pytest_speedbench.gate.speed import SpeedResult, SpeedRow
from pytest_speedbench.gate.verdict import GatePolicy, Verdict
from pytest_speedbench.report.speed import SpeedEntry, describe_speed, slowdown_message, speed_entry, speed_lines

SLOWER = SpeedRow(
    metric="output_tps",
    concurrency=8,
    reference=118.2,
    candidate=96.4,
    reference_rounds=6,
    candidate_rounds=6,
    ratio=0.816,
    lower=0.749,
    upper=0.888,
    tolerance=0.05,
    p_value=0.0004,
    adjusted_p_value=0.0008,
    level=0.005,
    verdict=Verdict.REGRESSION,
    detectable_loss=0.11,
)
UNCLEAR = SpeedRow(
    metric="ttft",
    concurrency=8,
    reference=0.0041,
    candidate=0.0042,
    reference_rounds=5,
    candidate_rounds=1,
    ratio=1.02,
    lower=0.93,
    upper=1.12,
    tolerance=0.05,
    p_value=0.7,
    adjusted_p_value=0.7,
    level=0.01,
    verdict=Verdict.UNDECIDED,
    detectable_loss=0.131,
)
MISSING = SpeedRow(
    metric="step_time",
    concurrency=1,
    reference=None,
    candidate=None,
    reference_rounds=3,
    candidate_rounds=3,
    ratio=None,
    lower=None,
    upper=None,
    tolerance=0.05,
    p_value=None,
    adjusted_p_value=None,
    level=None,
    verdict=Verdict.MISSING,
    detectable_loss=None,
    reason="no figure in 1 of the candidate's 3 rounds",
)


def result(*rows: SpeedRow, mode: GatePolicyName = "detect") -> SpeedResult:
    tested = sum(row.p_value is not None for row in rows)
    note = "user_tps at concurrency 8 is not compared: the reference has none."
    return SpeedResult("good", rows, tested, GatePolicy(mode=mode), (note,))


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            SLOWER,
            "Output TPS at concurrency 8: 118.2 -> 96.4 tok/s, -18.4% [-25.1%, -11.2%], 6 rounds a side, "
            "tolerance 5.0%: regression",
        ),
        (
            UNCLEAR,
            "TTFT at concurrency 8: 4.100 -> 4.200 ms, +2.0% [-7.0%, +12.0%], 5 rounds against 1, "
            "tolerance 5.0%: undecided (sees losses from 13.1%)",
        ),
        (MISSING, "step time at concurrency 1: missing data: no figure in 1 of the candidate's 3 rounds"),
    ],
)
def test_a_row_is_one_line(row: SpeedRow, line: str) -> None:
    assert describe_speed(row) == line


def test_the_message_begins_with_the_finding_and_fits_a_log() -> None:
    message = slowdown_message("weak", result(SLOWER, UNCLEAR))
    assert message.splitlines()[0] == "weak is slower than good in 1 of 2 figures."
    assert max(map(len, message.splitlines())) <= 100
    assert message.index("Output TPS") < message.index("The other figures:") < message.index("TTFT")
    assert "Intervals and verdicts hold for all 2 tests together, at an error level of 1.0%." in message
    assert message.endswith("user_tps at concurrency 8 is not compared: the reference has none.")


def test_other_ways_to_fail_have_their_own_words() -> None:
    assert slowdown_message("weak", result(MISSING, UNCLEAR)).startswith(
        "The speed of weak cannot be compared with good: figures are missing."
    )
    assert slowdown_message("weak", result(UNCLEAR, mode="prove")).startswith(
        "weak is not shown to be as fast as good, within the tolerance."
    )


def test_an_entry_travels_and_is_shown_in_the_summary() -> None:
    entry = speed_entry("test.py::test", "weak", result(SLOWER, UNCLEAR))
    travelled = msgspec.convert(msgspec.to_builtins(entry), type=SpeedEntry)
    assert travelled == entry
    assert speed_lines(travelled) == [
        "weak against good: speed, family-wise error 1%",
        f"  {describe_speed(SLOWER)}",
        f"  {describe_speed(UNCLEAR)}",
        "  note: user_tps at concurrency 8 is not compared: the reference has none.",
    ]
