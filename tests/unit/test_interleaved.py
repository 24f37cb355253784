"""The order of rounds, warm-ups, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log

import pytest

from pytest_speedbench.config import Load, Pair
from pytest_speedbench.errors import ConfigError, EngineError
from pytest_speedbench.gate.speed import Interleaved
from pytest_speedbench.measure.run import Run
from pytest_speedbench.sweeps.interleaved import Speedup, interleaved_order, measure_interleaved, measure_rounds
from tests.unit.metrics import runs

A, B = Pair("a", "fake", "target"), Pair("b", "fake", "target")
PROMPTS = 16
STEPS = 4


class Machine:
    """Answers at a set time per step, slower for B, and ten times slower in warm-ups."""

    def __init__(
        self, slower: float = 1.0, *, drift: float = 0.0, fails_at: int = 0, times: bool = True, wordy: bool = False
    ) -> None:
        self.asked: list[tuple[str, int, int | None]] = []
        self._slower = slower
        self._drift = drift
        self._fails_at = fails_at
        self._times = times
        self._wordy = wordy

    def __call__(self, pair: Pair, concurrency: int, prompts: int | None) -> Run:
        self.asked.append((pair.name, concurrency, prompts))
        if len(self.asked) == self._fails_at:
            raise EngineError("The engine broke down.", "Repair it.")
        rounds = sum(asked is None for _, _, asked in self.asked)
        scale = (self._slower if pair is B else 1.0) * (1 + self._drift * rounds) * (1 if prompts is None else 10)
        turn = runs.turn([3] * STEPS)
        emissions = tuple((at_s * scale, tokens) for at_s, tokens in turn.emissions) if self._times else ()
        turn = replace(turn, emissions=emissions)
        other = replace(turn, output_ids=(*turn.output_ids, 7)) if self._wordy and pair is B else turn
        conversations = [runs.conversation("p", "math", turn), runs.conversation("q", "math", other)]
        return replace(runs.run(conversations), pair=pair, load=Load(concurrency))


def measured(
    machine: Machine, rounds: int = 3, concurrencies: Sequence[int] = (1,), prompts: int = PROMPTS
) -> tuple[Interleaved, ...]:
    return measure_interleaved(machine, A, B, concurrencies=concurrencies, rounds=rounds, prompts=prompts)


def test_the_order_is_abba_then_baab() -> None:
    assert "".join("AB"[side] for side in interleaved_order(6)) == "ABBABAABABBA"
    assert "".join("AB"[side] for side in interleaved_order(3)) == "ABBABA"


def test_every_start_is_followed_by_a_warm_up_and_adjacent_rounds_share_one() -> None:
    machine = Machine()
    (one,) = measured(machine, rounds=4)
    warm, whole = ("warm", 4), ("whole", None)
    expected = [
        (name, 1, prompts)
        for name, stretch in [("a", 1), ("b", 2), ("a", 1), ("b", 1), ("a", 2), ("b", 1)]
        for _, prompts in [warm, *[whole] * stretch]
    ]
    assert machine.asked == expected
    assert [taken.start for taken in one.rounds] == [0, 1, 1, 2, 3, 4, 4, 5]
    assert [taken.candidate for taken in one.rounds] == list(interleaved_order(4))


def test_warm_ups_are_not_recorded() -> None:
    (one,) = measured(Machine())
    expected = 2 * (4 * STEPS + 1) / (runs.TTFT_S + STEPS * runs.STEP_S)
    for figures in one.figures("output_tps"):
        assert figures == pytest.approx((expected,) * 3)


def test_prompts_with_other_outputs_are_counted() -> None:
    assert measured(Machine())[0].different_outputs == 0
    assert measured(Machine(wordy=True))[0].different_outputs == 1


def test_every_concurrency_has_its_own_rounds() -> None:
    machine = Machine()
    one, many = measured(machine, concurrencies=(1, 8))
    assert (one.concurrency, many.concurrency) == (1, 8)
    assert len(one.rounds) == len(many.rounds) == 6
    assert machine.asked[:8] == [
        ("a", 1, 4), ("a", 8, 8), ("a", 1, None), ("a", 8, None), ("b", 1, 4), ("b", 8, 8), ("b", 1, None),
        ("b", 8, None),
    ]  # fmt: skip


def test_a_warm_up_asks_no_more_prompts_than_there_are() -> None:
    machine = Machine()
    measured(machine, prompts=2)
    assert machine.asked[0] == ("a", 1, 2)


def test_a_drifting_machine_gives_the_true_ratio() -> None:
    estimate = measured(Machine(1.25, drift=0.01), rounds=6)[0].estimate("output_tps")
    assert estimate.difference == pytest.approx(log(1 / 1.25), abs=2e-3)
    assert estimate.half_width(0.001) < 0.01


@pytest.mark.parametrize(
    ("rounds", "concurrencies", "words"),
    [(2, (1,), "2 rounds a side are too few"), (3, (), "concurrency none"), (3, (1, 17), "concurrency 1, 17 with 16")],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_asked(
    rounds: int, concurrencies: tuple[int, ...], words: str
) -> None:
    machine = Machine()
    with pytest.raises(ConfigError, match=words):
        measured(machine, rounds, concurrencies)
    assert not machine.asked


def test_an_engine_that_fails_or_gives_no_times_is_an_error() -> None:
    with pytest.raises(EngineError, match="broke down"):
        measured(Machine(fails_at=4))
    with pytest.raises(EngineError, match="gave no times"):
        measured(Machine(times=False))
    with pytest.raises(EngineError, match="gave no times"):
        measure_rounds(Machine(times=False), A, concurrency=1, rounds=1, prompts=4)


def test_rounds_for_a_stored_baseline_come_after_a_warm_up() -> None:
    machine = Machine()
    found = measure_rounds(machine, A, concurrency=8, rounds=2, prompts=PROMPTS)
    assert machine.asked == [("a", 8, 8), ("a", 8, None), ("a", 8, None)]
    assert found.ttft == (runs.TTFT_S, runs.TTFT_S)
    with pytest.raises(ConfigError, match="measure nothing"):
        measure_rounds(machine, A, concurrency=8, rounds=0, prompts=PROMPTS)


def test_a_speedup_is_a_ratio_of_output_tps_with_bounds() -> None:
    (one,) = measured(Machine(0.8, drift=0.003), rounds=6)
    speedup = Speedup.of(one, 0.01)
    assert speedup.lower < 1.25 < speedup.upper
    assert speedup.ratio == pytest.approx(1.25, rel=0.01)
    assert (speedup.error, speedup.measured) == (0.01, one)
