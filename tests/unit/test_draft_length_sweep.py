"""The sweep with a measurer whose speeds are set, and the words and JSON that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling, Timeouts
from pytest_speedbench.errors import ConfigError, EngineError
from pytest_speedbench.measure import Conversation, Progress, Run, SplitIdentity, Turn
from pytest_speedbench.report.sweep import draft_length_json, draft_length_lines, round_line
from pytest_speedbench.splits.schema import Prompt, Split
from pytest_speedbench.sweeps.draft_length import DraftLengthSweep, Plan, RoundDone, sweep_draft_lengths
from tests.unit.metrics import runs

PAIR = Pair("pair", "fake", "target", Drafter(DrafterMethod.EAGLE3, "head", 3))
SPLIT = Split("split", tuple(Prompt(f"p{n}", "math", "", ("Question?",)) for n in range(16)), "s" * 64, 20)
SAMPLING = Sampling(max_output_tokens=64)
TIMEOUTS = Timeouts(start_s=5)
NOISE = (1.0, 1.02, 0.98)
TOKENS = 24

Speed = Callable[[int, int], float]


class ScriptedMeasurer:
    """Gives every draft length and concurrency the speed it is told, with a little noise from round to round.

    Every conversation has one verify step for each of 0 … K accepted tokens, so AL is 1 + K / 2.
    """

    def __init__(
        self, tps: Speed, *, most: int | None = None, longest: int = 8, changing: bool = False, counts: str = "requests"
    ) -> None:
        self._tps = tps
        self._most = most
        self._longest = longest
        self._changing = changing
        self._counts = counts
        self._rounds: dict[object, int] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.checked: list[int] = []

    def check(self, pair: Pair) -> None:
        length = pair.drafter.draft_length if pair.drafter else 0
        self.checked.append(length)
        if length > self._longest:
            raise EngineError(f"The head drafts at most {self._longest}.", "Ask for less.")

    def measure(
        self,
        pair: Pair,
        split: Split,
        sampling: Sampling,
        load: Load,
        on_progress: Callable[[Progress], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Run:
        assert (sampling, timeouts) == (SAMPLING, TIMEOUTS)
        assert on_progress is None
        length = pair.drafter.draft_length if pair.drafter else 0
        if self._most is not None and load.concurrency > self._most:
            raise EngineError("Too many at a time.", "Ask for fewer.")
        self.asked.append((length, load.concurrency, len(split)))
        if len(split) < len(SPLIT):
            return self._run(pair, split, load, 1.0, 0)
        number = self._rounds[length, load] = self._rounds.get((length, load), -1) + 1
        tps = self._tps(length, load.concurrency) * NOISE[number % 3]
        return self._run(pair, split, load, tps, number)

    def _run(self, pair: Pair, split: Split, load: Load, tps: float, number: int) -> Run:
        length = pair.drafter.draft_length if pair.drafter else 0
        duration_s = TOKENS * len(split) / tps
        record = AcceptanceRecord(length, (1,) * (length + 1), length * (length + 1)) if length else None
        if record and self._changing and number:
            record = AcceptanceRecord(length, (*(1,) * length, 2), length * (length + 2))
        output = tuple(range(TOKENS - 1)) + ((99,) if self._changing and number and length else (TOKENS - 1,))
        turn = Turn(7, "p", output, "length", 0.0, ((duration_s / TOKENS, 1), (duration_s, TOKENS - 1)), record)
        if self._counts != "requests":
            turn = replace(turn, acceptance=None)
        conversations = tuple(Conversation(p.question_id, p.category, "", (turn,)) for p in split.prompts)
        identity = SplitIdentity(split.name, split.sha256, split.total)
        run = replace(runs.run(conversations), pair=pair, split=identity, sampling=SAMPLING, load=load)
        if self._counts != "counters" or record is None:
            return run
        return replace(run, counters=replace(record, source=AcceptanceSource.COUNTERS, undrafted_steps=None))


def by_length(speeds: Mapping[int, float]) -> Speed:
    return lambda length, concurrency: speeds[length] * concurrency


def sweep(measurer: ScriptedMeasurer, *, concurrencies: tuple[int, ...] = (1,), **options: Any) -> DraftLengthSweep:
    plan = Plan(options.pop("lengths", (1, 2, 3)), concurrencies, 3)
    return sweep_draft_lengths(measurer, PAIR, SPLIT, SAMPLING, plan, timeouts=TIMEOUTS, **options)


SPEEDS = {0: 100.0, 1: 120.0, 2: 160.0, 3: 158.0}


def test_every_length_is_measured_in_one_stretch_with_no_drafter_at_both_ends() -> None:
    measurer = ScriptedMeasurer(by_length(SPEEDS))
    sweep(measurer, lengths=(2, 1, 2), concurrencies=(8, 1))
    rounds = [(1, 16), (8, 16)] * 3
    expected = [(k, *part) for k in (0, 1, 2, 0) for part in [(8, 8), (1, 4), *rounds]]
    assert measurer.asked == expected
    assert measurer.checked == [0, 1, 2]


def test_the_figures_of_a_row() -> None:
    result = sweep(ScriptedMeasurer(by_length(SPEEDS)))
    assert (result.split.name, result.prompts, result.split.prompts) == ("split", 16, 20)
    (at,) = result.at
    alone, row = at.row(0), at.row(3)
    assert len(alone.rounds) == 6
    assert (alone.acceptance, alone.speedup) == (None, None)
    assert alone.al_by_round == (None,) * 6
    assert row.al_by_round == (2.5,) * 3
    assert row.acceptance is not None
    assert row.acceptance.conversations == 48
    assert (row.acceptance.al_macro, row.acceptance.al_pooled) == (2.5, 2.5)
    assert row.acceptance.conditional_rates == pytest.approx((3 / 4, 2 / 3, 1 / 2))
    assert [measured.output_tps for measured in row.rounds] == pytest.approx([158 * noise for noise in NOISE])
    assert row.output_tps.estimate == pytest.approx(158, rel=2e-4)
    assert row.user_tps_q50 == pytest.approx(158 / 16)
    assert row.speedup is not None
    assert row.speedup.estimate == pytest.approx(1.58)
    assert row.speedup.lower < 1.58 < row.speedup.upper
    assert row.different_outputs == 0


def test_the_best_length_is_named_with_those_that_may_be_as_good() -> None:
    (at,) = sweep(ScriptedMeasurer(by_length(SPEEDS))).at
    assert (at.best, at.may_be_best, at.pays, at.drifted) == (2, (2, 3), "speed-up", False)


def test_each_concurrency_has_its_own_answer() -> None:
    def tps(length: int, concurrency: int) -> float:
        return 100 + 20 * length if concurrency == 1 else 1000 - 200 * length

    result = sweep(ScriptedMeasurer(tps), concurrencies=(1, 8))
    assert [(at.concurrency, at.best, at.may_be_best, at.pays) for at in result.at] == [
        (1, 3, (3,), "speed-up"),
        (8, 1, (1,), "slowdown"),
    ]
    text = "\n".join(draft_length_lines(result, width=100, colour=False))
    assert "best: K = 3, 1.600× [" in text
    assert "faster than every other K, with 99%." in text
    assert text.count("Speculation is a slowdown here") == 1
    _, slow = text.split("concurrency 8")
    assert "so that no draft length pays." in slow
    assert "best:" not in slow, "a slowdown is not a best"
    assert slow.index("Speculation is a slowdown") < slow.index("fastest: K = 1, ")


def test_no_difference_is_undecided() -> None:
    result = sweep(ScriptedMeasurer(by_length(dict.fromkeys(range(4), 100.0))))
    (at,) = result.at
    assert (at.may_be_best, at.pays) == ((1, 2, 3), "undecided")
    text = "\n".join(draft_length_lines(result, width=100, colour=False))
    assert "with 99% the best is one of these 3" in text
    assert "No K is surely faster than no drafter here." in text
    assert "best:" not in text
    assert "fastest: K = " in text


def test_a_machine_that_slows_down_is_warned_of() -> None:
    measurer = ScriptedMeasurer(by_length(SPEEDS))
    seen: list[RoundDone] = []

    def slowing(length: int, concurrency: int) -> float:
        return SPEEDS[length] * concurrency * (0.7 if seen and seen[-1].number >= 12 else 1.0)

    measurer = ScriptedMeasurer(slowing)
    result = sweep(measurer, on_round=seen.append)
    (at,) = result.at
    assert at.drifted
    assert at.drift.estimate == pytest.approx(0.7)
    steady = sweep(ScriptedMeasurer(by_length(SPEEDS))).at[0]
    wide, narrow = at.row(2).speedup, steady.row(2).speedup
    assert wide is not None
    assert narrow is not None
    assert wide.upper / wide.lower > 1.5 * narrow.upper / narrow.lower
    assert any("speed at the end was 0.700×" in line for line in draft_length_lines(result, width=100, colour=False))


def test_what_differs_between_rounds_is_said() -> None:
    result = sweep(ScriptedMeasurer(by_length(SPEEDS), changing=True))
    (at,) = result.at
    assert [row.different_outputs for row in at.rows] == [0, 16, 16, 16]
    text = "\n".join(draft_length_lines(result, width=100, colour=False))
    assert "acceptance differed between rounds (AL macro): K = 1 1.500 … 1.667; K = 2 2.000 … 2.250" in text
    assert "output is not the first one without a drafter: K = 1 16, K = 2 16, K = 3 16." in text


def test_counters_stand_in_for_requests_without_records() -> None:
    result = sweep(ScriptedMeasurer(by_length(SPEEDS), counts="counters"))
    row = result.at[0].row(3)
    assert row.acceptance is not None
    assert (row.acceptance.conversations, row.acceptance.missing) == (48, 48)
    assert (row.acceptance.al_macro, row.acceptance.al_pooled, row.al_by_round) == (None, 2.5, (None,) * 3)
    assert row.acceptance.tokens_per_decode_step is None
    lines = draft_length_lines(result, width=120, colour=False)
    assert "  note: acceptance from counters, not from the engine's own per-request record." in lines


def test_no_acceptance_at_all_leaves_the_speeds() -> None:
    result = sweep(ScriptedMeasurer(by_length(SPEEDS), counts="nothing"))
    row = result.at[0].row(3)
    assert row.acceptance is not None
    assert (row.acceptance.al_pooled, row.acceptance.conditional_rates) == (None, ())
    assert result.at[0].best == 2
    assert "  note: the engine reports no acceptance for some K." in draft_length_lines(result, width=120, colour=False)


def test_every_round_is_reported() -> None:
    seen: list[RoundDone] = []
    titles: list[str] = []

    def watch(title: str) -> nullcontext[None]:
        titles.append(title)
        return nullcontext()

    sweep(ScriptedMeasurer(by_length(SPEEDS)), lengths=(2,), on_round=seen.append, watch=watch)
    assert [(done.number, done.total, done.draft_length) for done in seen] == [
        *((number, 9, 0) for number in (1, 2, 3)),
        *((number, 9, 2) for number in (4, 5, 6)),
        *((number, 9, 0) for number in (7, 8, 9)),
    ]
    assert round_line(seen[0]) == "[1/9] no drafter, concurrency 1: Output TPS 100.0"
    assert round_line(seen[4]) == "[5/9] K = 2, concurrency 1: Output TPS 163.2, AL 2.000"
    assert titles[:2] == ["no drafter, concurrency 1, warm-up", "no drafter, concurrency 1, round 1"]


def test_what_cannot_work_is_refused_before_anything_is_measured() -> None:
    measurer = ScriptedMeasurer(by_length(SPEEDS), most=4, longest=2)
    with pytest.raises(EngineError, match="drafts at most 2"):
        sweep(measurer)
    with pytest.raises(ConfigError, match="A concurrency of 32 is asked, but only 16 prompts"):
        sweep(measurer, concurrencies=(1, 32))
    with pytest.raises(EngineError, match="Too many at a time"):
        sweep(measurer, lengths=(1,), concurrencies=(1, 8))
    plan = Plan((1,), (1,), 3)
    with pytest.raises(ConfigError, match="has no drafter"):
        sweep_draft_lengths(measurer, replace(PAIR, drafter=None), SPLIT, SAMPLING, plan)
    with pytest.raises(ConfigError, match="a draft length of its own"):
        sweep_draft_lengths(measurer, replace(PAIR, endpoint="http://here"), SPLIT, SAMPLING, plan)
    assert measurer.asked == []


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (((), (1,), 3), "must be at least 1"),
        (((0, 1), (1,), 3), "must be at least 1"),
        (((1,), (), 3), "concurrency must be"),
        (((1,), (1,), 2), "2 rounds are too few"),
    ],
)
def test_a_plan_without_an_answer_is_refused(plan: tuple[Any, Any, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Plan(*plan)


def test_json_holds_every_figure() -> None:
    result = sweep(ScriptedMeasurer(by_length(SPEEDS)))
    plain = json.loads(draft_length_json(result))
    assert plain["schema"] == "speedbench-draft-length/1"
    assert plain["engine"]["args"] == {"dtype": "float32", "tensor_parallel_size": 2}
    (at,) = plain["at"]
    assert (at["best"], at["may_be_best"], at["pays"]) == (2, [2, 3], "speed-up")
    assert at["rows"][0]["acceptance"] is None
    assert at["rows"][3]["acceptance"]["conditional_rates"] == pytest.approx([3 / 4, 2 / 3, 1 / 2])
    assert at["rows"][3]["acceptance"]["source"] == "engine"
    assert len(at["rows"][1]["rounds"]) == 3


def test_tables_fit_a_terminal() -> None:
    speeds = {k: 100.0 + k for k in range(9)}
    result = sweep(ScriptedMeasurer(by_length(speeds)), lengths=tuple(range(1, 9)), concurrencies=(1, 4))
    lines = draft_length_lines(result, width=120, colour=False)
    assert "acceptance, the same at every concurrency" in "\n".join(lines)
    tables = [row for line in lines if "\n" in line for row in line.splitlines()]
    assert len(tables) == 3 * 2 + 2 * 9 + 8
    assert max(len(row) for row in tables) <= 120
    assert tables[-10].split() == ["K", "AL", "macro", "AL", "pooled", "tok/step", *(f"AR@{k}" for k in range(1, 9))]
    assert tables[-1].split() == ["8", "5.000", "5.000", "5.000", *(f"{k / (k + 1):.3f}" for k in range(8, 0, -1))]
    colour = draft_length_lines(result, width=120, colour=True)
    assert any("\x1b[1m" in line for line in colour)
