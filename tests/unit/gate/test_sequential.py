"""Deciding while a run is under way. The runs here are asked one prompt at a time, all categories at the same pace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.gate import GatePolicy, GateResult, GateRow, SequentialGate, Verdict, compare, pair_up
from pytest_speedbench.gate.attribution import attribute
from pytest_speedbench.gate.sequential import LAST_SHARE, looks_at, share_of
from pytest_speedbench.measure.run import Conversation, Run
from pytest_speedbench.tolerance import parse_tolerance
from tests.unit.gate.pairs import asked, even, geometric, record, redrawn, run_of
from tests.unit.metrics.runs import run, turn

Records = Sequence[AcceptanceRecord | None]
World = Mapping[str, tuple[Records, Records]]


@dataclass
class Played:
    """What came of a run that was asked as long as a gate wanted."""

    result: GateResult
    run: Run
    decided: frozenset[str]
    decided_at: dict[str, int]

    def row(self, name: str) -> GateRow:
        return next(row for row in self.result.all_rows if row.name == name)


def conversations(categories: Mapping[str, Iterable[AcceptanceRecord | None]]) -> list[Conversation]:
    return [asked(name, i, decoded) for name, records in categories.items() for i, decoded in enumerate(records)]


def play(reference: Run, rows: Sequence[Conversation], policy: GatePolicy | None = None) -> Played:
    """Ask the prompts of every category in their order, no further than the gate wants."""
    by_category: dict[str, list[Conversation]] = {}
    for row in rows:
        by_category.setdefault(row.category, []).append(row)
    planned = {name: len(found) for name, found in by_category.items()}
    gate = SequentialGate(reference, planned, policy or GatePolicy())
    turns = sorted((i / len(found), name, i) for name, found in by_category.items() for i in range(len(found)))
    prefixes: dict[str, list[Conversation]] = {name: [] for name in planned}
    decided: frozenset[str] = frozenset()
    decided_at: dict[str, int] = {}
    for _, name, i in turns:
        if name in decided:
            continue
        prefixes[name].append(by_category[name][i])
        now = gate.look(prefixes, name)
        assert now >= decided, "a decision stands"
        decided_at.update({new: len(prefixes[new]) for new in now - decided})
        decided = now
    measured = run([row for found in prefixes.values() for row in found])
    stopped = {name: count for name, count in planned.items() if len(prefixes[name]) < count}
    measured = replace(measured, stopped=MappingProxyType(stopped))
    return Played(gate.result(measured), measured, decided, decided_at)


def play_world(world: World, rules: str = "1%", **policy: object) -> Played:
    accepted = GatePolicy(parse_tolerance(rules, "tolerance"), **policy)  # type: ignore[arg-type]
    reference = run_of({name: before for name, (before, _) in world.items()})
    return play(reference, conversations({name: after for name, (_, after) in world.items()}), accepted)


def world_of(
    seed: int, prompts: int, drops: Mapping[str, float], *, unchanged: float = 0.0
) -> dict[str, tuple[Records, Records]]:
    rng = np.random.default_rng(seed)
    return {name: redrawn(rng, prompts, drop=drop, unchanged=unchanged) for name, drop in drops.items()}


@given(st.integers(1, 3000))
def test_looks_come_closer_together_early_and_the_last_is_at_all_prompts(prompts: int) -> None:
    looks = looks_at(prompts)
    assert list(looks) == sorted(set(looks))
    assert looks[-1] == prompts
    assert prompts <= 5 or looks[0] == 5
    assert all(later <= earlier * 1.4 for earlier, later in pairwise(looks))


@given(st.integers(1, 3000))
def test_the_shares_of_all_looks_make_up_the_whole_error(prompts: int) -> None:
    shares = [share_of(look, prompts) for look in looks_at(prompts)]
    assert sum(shares) == pytest.approx(1)
    assert all(share > 0 for share in shares)


def test_looks_by_hand() -> None:
    assert looks_at(4) == (4,)
    assert looks_at(20) == (5, 6, 8, 10, 13, 17, 20)
    assert share_of(6, 20) == pytest.approx(0.5 / 6)
    assert share_of(20, 20) == LAST_SHARE
    assert share_of(4, 4) == 1


@pytest.mark.parametrize("seed", range(4))
def test_decisions_fall_at_looks(seed: int) -> None:
    played = play_world(world_of(seed, 30, {"a": 0.25, "b": 0.15, "c": 0.0}))
    assert played.decided
    assert set(played.decided_at.values()) <= set(looks_at(30))


def test_looks_are_at_exactly_so_many_prompts() -> None:
    """29 / 35 of 35 prompts are 29, and a little more as a floating-point number."""
    decided_at = {play_world(world_of(seed, 35, {"a": 0.1, "b": 0.1})).decided_at.get("a") for seed in range(40)}
    assert 29 in decided_at
    assert decided_at <= {*looks_at(35), None}


def test_a_large_drop_is_found_at_once_and_stays_found() -> None:
    played = play_world(world_of(1, 60, {"a": 0.4, "b": 0.0, "c": 0.0}))
    row = played.row("a")
    assert played.decided == {"a"}
    assert played.decided_at["a"] <= 8
    assert (row.verdict, row.stopped, row.of_prompts) == (Verdict.REGRESSION, True, 60)
    assert row.prompts == played.decided_at["a"]
    assert played.run.stopped == {"a": 60}
    assert played.result.failed
    assert any(note == f"Decided before all prompts were asked, at the same error: a {row.prompts} of 60."
               for note in played.result.notes)  # fmt: skip
    assert [played.row(name).stopped for name in "bc"] == [False, False]


def test_what_came_after_the_last_look_does_not_change_an_early_finding() -> None:
    """Requests in flight may finish after a decision; they are in the run, not in its figures."""
    world = world_of(1, 60, {"a": 0.4, "b": 0.0})
    reference = run_of({name: before for name, (before, _) in world.items()})
    rows = conversations({name: after for name, (_, after) in world.items()})
    gate = SequentialGate(reference, {"a": 60, "b": 60}, GatePolicy())
    prefixes: dict[str, list[Conversation]] = {"a": [], "b": []}
    for i in range(8):
        for name in "ab":
            prefixes[name].append(rows[i + 60 * (name == "b")])
            gate.look(prefixes, name)
    assert gate.look(prefixes, "a") == {"a"}
    later = [asked("a", i, even(4.0)) for i in range(8, 12)]
    rest = [row for row in rows if row.category == "b"]
    measured = replace(run([*prefixes["a"], *later, *rest]), stopped=MappingProxyType({"a": 60}))
    for row in rest[8:]:
        prefixes["b"].append(row)
        gate.look(prefixes, "b")
    (found,) = (row for row in gate.result(measured).rows if row.name == "a")
    assert found.verdict is Verdict.REGRESSION
    assert found.prompts <= 8


@pytest.mark.parametrize("seed", range(8))
def test_all_figures_of_a_row_and_where_its_loss_lies_are_of_one_look(seed: int) -> None:
    world = world_of(seed, 40, {"a": 0.12, "b": 0.1, "c": 0.08, "d": 0.0})
    reference = run_of({name: before for name, (before, _) in world.items()})
    played = play_world(world)
    for row in played.result.all_rows:
        assert {change.prompts for change in row.changes} <= {row.prompts}
        assert not row.changes or len(row.prompt_ids) == row.prompts
    for row in played.result.rows:
        if row.verdict is Verdict.REGRESSION:
            (found,) = attribute(reference, played.run, [row.name], None, {row.name: row.prompt_ids}).categories
            macro = row.change_of("al_macro")
            assert macro is not None
            assert (found.before, found.after) == pytest.approx((macro.baseline, macro.candidate))
            assert found.prompts == row.prompts


def test_it_is_said_with_how_many_all_prompts_together_were_last_looked_at() -> None:
    played = play_world(world_of(1, 30, {"a": 0.3, "b": 0.0}))
    overall = played.row("overall")
    asked_in_all = len(played.run.conversations)
    assert overall.prompts < asked_in_all
    assert (
        f"All prompts together were last looked at when {overall.prompts} of the {asked_in_all} had been asked, before "
        "the first category was decided."
    ) in played.result.notes


def test_few_prompts_are_judged_as_without_a_gate_at_work() -> None:
    world = world_of(1, 5, {"a": 0.4, "b": 0.0})
    played = play_world(world)
    assert not played.decided
    reference = run_of({name: before for name, (before, _) in world.items()})
    assert played.result == compare(pair_up(reference, played.run))


@pytest.mark.parametrize("seed", range(3))
def test_a_run_to_the_end_is_judged_on_all_of_it_at_the_last_looks_share(seed: int) -> None:
    world = world_of(seed, 25, {"a": 0.0, "b": 0.0, "c": 0.0})
    played = play_world(world)
    assert not played.decided
    assert played.run.complete
    reference = run_of({name: before for name, (before, _) in world.items()})
    plain = compare(pair_up(reference, played.run))
    assert played.result.family == plain.family
    for row, other in zip(played.result.all_rows, plain.all_rows, strict=True):
        assert (row.name, row.prompts, row.stopped) == (other.name, other.prompts, False)
        for change, expected in zip(row.changes, other.changes, strict=True):
            assert (change.candidate, change.baseline) == (expected.candidate, expected.baseline)
            assert change.p_value is not None
            assert expected.p_value is not None
            assert change.p_value <= min(1.0, expected.p_value / LAST_SHARE) * (1 + 1e-9)
            assert change.level is not None
            assert expected.level is not None
            assert change.level == pytest.approx(expected.level * LAST_SHARE)


def test_unchanged_prompts_do_not_vouch_for_those_not_asked_yet() -> None:
    same = [geometric(np.random.default_rng(1), 0.6) for _ in range(40)]
    world: World = {"a": (same, same), "b": (same, same)}
    strict = play_world(world)
    assert not strict.decided
    assert {row.verdict for row in strict.result.all_rows} == {Verdict.NO_REGRESSION}
    wide = play_world(world, "30%")
    assert wide.decided == {"a", "b"}
    assert len(wide.run.conversations) < 40
    assert {row.verdict for row in wide.result.rows} == {Verdict.NO_REGRESSION}
    assert not wide.result.failed


@pytest.mark.parametrize("problem", ["record", "prompt"])
def test_a_category_that_cannot_be_compared_is_never_decided(problem: str) -> None:
    world = world_of(1, 30, {"a": 0.4, "b": 0.4})
    reference = run_of({name: before for name, (before, _) in world.items()})
    rows = conversations({name: after for name, (_, after) in world.items()})
    rows[2] = asked("a", 2, None) if problem == "record" else asked("a", 2, world["a"][1][2], prompt="other")
    played = play(reference, rows)
    assert played.decided == {"b"}
    assert played.row("a").verdict is Verdict.MISSING
    assert played.result.failed


def test_data_missing_after_an_undecided_look_does_not_pass() -> None:
    world = world_of(2, 20, {"a": 0.0, "b": 0.0})
    reference = run_of({name: before for name, (before, _) in world.items()})
    rows = conversations({name: after for name, (_, after) in world.items()})
    rows[15] = asked("a", 15, None)
    played = play(reference, rows)
    assert not played.decided
    row = played.row("a")
    assert (row.verdict, row.reason) == (Verdict.MISSING, "1 of 20 prompts: the engine gave no acceptance record")
    assert row.changes == ()
    assert played.result.failed


def test_a_look_at_too_few_prompts_with_data_decides_nothing() -> None:
    world = world_of(1, 30, {"a": 0.4, "b": 0.4})
    reference = run_of({name: before for name, (before, _) in world.items()})
    rows = conversations({name: after for name, (_, after) in world.items()})
    ended = [replace(row, turns=(turn([]),)) for row in rows[:30]]
    half = [ended[i] if i % 2 and i < 20 else rows[i] for i in range(30)]
    played = play(reference, [*half, *rows[30:]])
    assert "a" not in played.decided
    assert "b" in played.decided
    row = played.row("a")
    assert row.verdict is Verdict.MISSING
    assert row.reason == (
        "20 of 30 prompts can be compared, and a verdict needs 80% of them: 10 without a verify step now"
    )
    single = play(reference, [*ended[:1], *rows[1:]])
    assert single.decided == {"a", "b"}, "one of five is not too many"


def test_prompts_that_the_baseline_lacks_do_not_keep_a_category_from_being_decided() -> None:
    world = world_of(1, 30, {"a": 0.4, "b": 0.0})
    reference = run_of({name: before for name, (before, _) in world.items()})
    rows = conversations({name: after for name, (_, after) in world.items()})
    rows.insert(0, replace(rows[0], question_id="new"))
    played = play(reference, rows)
    assert played.decided == {"a"}
    assert played.row("a").verdict is Verdict.REGRESSION


def test_what_all_prompts_show_together_is_looked_at_too() -> None:
    played = play_world(world_of(3, 40, dict.fromkeys("abcdefgh", 0.09)))
    overall = played.result.overall
    assert overall is not None
    assert overall.verdict is Verdict.REGRESSION
    (found, *_) = (change for change in overall.changes if change.verdict is Verdict.REGRESSION)
    assert found.prompts < len(played.run.conversations)
    assert overall.prompts == max(change.prompts for change in overall.changes)


def test_small_categories_are_among_all_prompts_from_the_first_look() -> None:
    world: World = {**world_of(3, 40, dict.fromkeys("ab", 0.4)), **world_of(4, 16, {"small": 0.4})}
    played = play_world(world)
    overall = played.result.overall
    assert overall is not None
    assert overall.prompts == 5 + 5 + 2
    assert {row.name for row in played.result.rows if row.stopped} == {"a", "b", "small"}


def test_after_a_stop_all_prompts_together_are_no_longer_looked_at() -> None:
    played = play_world(world_of(1, 40, {"a": 0.4, "b": 0.0, "c": 0.0}))
    overall = played.result.overall
    assert overall is not None
    assert {change.prompts for change in overall.changes} <= {3 * look for look in looks_at(40)[:-1]}
    assert overall.prompts <= 3 * played.decided_at["a"]


def test_the_policy_to_pass_on_proof_fails_what_stayed_undecided() -> None:
    world = world_of(2, 20, {"a": 0.0, "b": 0.0})
    assert not play_world(world).result.failed
    proof = play_world(world, mode="prove").result
    assert proof.failed
    assert {row.verdict for row in proof.rows} == {Verdict.UNDECIDED}


def assert_consistent(played: Played) -> None:
    """Decided is what has a verdict, and only that is stopped."""
    assert set(played.run.stopped) <= played.decided
    for name in played.run.stopped:
        assert played.row(name).verdict in (Verdict.REGRESSION, Verdict.NO_REGRESSION), name
        assert played.row(name).stopped


@pytest.mark.parametrize("seed", range(6))
def test_every_stopped_category_has_a_verdict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drops = {name: float(rng.choice([0.0, 0.05, 0.1, 0.2, 0.3])) for name in "abcdef"}
    rules = ["1%", "8%", "15%,ar=20%"][seed % 3]
    assert_consistent(play_world(world_of(seed, 30, drops, unchanged=0.3), rules))


def test_figures_that_only_one_category_gates_are_counted_from_the_start() -> None:
    """The smaller category is looked at late; what the larger ones were decided at must still hold then."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        world: World = {
            "large": redrawn(rng, 60, drop=0.13),
            "small": redrawn(rng, 12, drop=0.0),
        }
        assert_consistent(play_world(world, "1%,ar:small=2%"))


def test_categories_of_other_sizes_are_looked_at_at_the_same_share() -> None:
    world: World = {
        **world_of(1, 60, {"large": 0.0}),
        **world_of(2, 20, {"small": 0.4}),
        **world_of(3, 3, {"tiny": 0.4}),
    }
    played = play_world(world)
    assert played.decided == {"small"}
    assert played.row("small").prompts >= 5
    assert played.row("tiny").prompts == 3


def test_an_unchanged_pair_is_hardly_ever_called_worse_by_looking_often() -> None:
    alarms = sum(
        bool(play_world(world_of(seed, 20, dict.fromkeys("abcd", 0.01)), family_error=0.05).result.regressed)
        for seed in range(40)
    )
    assert alarms <= 6  # 2 expected at most; more than 6 has a probability below 0.4 %


def test_an_unplanned_length_of_draft_does_not_matter() -> None:
    short = [record(40, 20)] * 8
    played = play_world({"a": (short, short)})
    assert played.row("a").verdict is Verdict.NO_REGRESSION
