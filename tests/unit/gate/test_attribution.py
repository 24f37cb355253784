from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import prod
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.baselines.schema import Baseline
from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.errors import EngineError
from pytest_speedbench.gate import OVERALL
from pytest_speedbench.gate.attribution import (
    MOST_MOVERS,
    Attribution,
    CategoryAttribution,
    DraftPosition,
    attribute,
    vocabulary_of,
)
from pytest_speedbench.measure.run import Conversation, Run
from pytest_speedbench.metrics.acceptance import AcceptanceFigures
from tests.unit.metrics.runs import conversation, run, turn

Counts = tuple[int, ...]


def prompt(
    number: int, histogram: Counts, *, undrafted: int | None = 0, category: str = "qa", sub: str = "s"
) -> Conversation:
    """A conversation with that record; its output is so short that any steps may have made it."""
    record = AcceptanceRecord(len(histogram) - 1, histogram, None, undrafted)
    own = replace(turn([0]), acceptance=record, prompt_tokens=10 + number)
    return replace(conversation(f"{category}-{number:02}", category, own), sub_category=sub)


def measured(histograms: Sequence[Counts], undrafted: Sequence[int] | None = None) -> Run:
    steps = undrafted or [0] * len(histograms)
    return run([prompt(i, h, undrafted=u) for i, (h, u) in enumerate(zip(histograms, steps, strict=True))])


def only(attribution: Attribution) -> CategoryAttribution:
    (category,) = attribution.categories
    return category


def sides(*, draft_length: int | None = None, most_undrafted: int = 0) -> st.SearchStrategy[tuple[Run, Run]]:
    """Two runs of the same prompts with any histograms, each with at least one verify step."""

    @st.composite
    def draw(pick: st.DrawFn) -> tuple[Run, Run]:
        length = draft_length or pick(st.integers(1, 8))
        histogram = st.tuples(*[st.integers(0, 9)] * (length + 1)).filter(any)
        prompts = pick(st.integers(1, 5))
        lists = [pick(st.lists(histogram, min_size=prompts, max_size=prompts)) for _ in range(2)]
        steps = [pick(st.lists(st.integers(0, most_undrafted), min_size=prompts, max_size=prompts)) for _ in range(2)]
        before, after = (measured(h, u) for h, u in zip(lists, steps, strict=True))
        return before, after

    return draw()


@settings(max_examples=80, deadline=None)
@given(sides(most_undrafted=5))
def test_everything_adds_up_to_the_whole_change(pair: tuple[Run, Run]) -> None:
    found = only(attribute(*pair, ["qa"]))
    assert sum(p.effect for p in found.positions) == pytest.approx(found.change, abs=1e-12)
    assert sum(p.contribution for p in found.parts) == pytest.approx(found.change, abs=1e-12)
    assert found.after == pytest.approx(1 + sum(p.joint_after for p in found.positions if p.position), abs=1e-12)
    assert found.fell + found.rose <= found.prompts


@settings(max_examples=50, deadline=None)
@given(sides())
def test_pooled_positions_are_the_rates_of_the_table_and_add_up_to_the_pooled_change(pair: tuple[Run, Run]) -> None:
    before, after = (AcceptanceFigures.of(c.acceptance for c in side.conversations) for side in pair)
    found = only(attribute(*pair, ["qa"])).positions_pooled
    assert [p.rate_before for p in found] == pytest.approx(list(before.conditional_rates))
    assert [p.rate_after for p in found] == pytest.approx(list(after.conditional_rates))
    assert [p.joint_after for p in found] == pytest.approx(list(after.joint_rates))
    assert before.al_pooled is not None
    assert after.al_pooled is not None
    assert sum(p.effect for p in found) == pytest.approx(after.al_pooled - before.al_pooled, abs=1e-12)


def length(rates: Sequence[float]) -> float:
    return 1 + sum(prod(rates[: k + 1]) for k in range(len(rates)))


@settings(max_examples=40, deadline=None)
@given(sides(draft_length=4))
def test_effects_are_averages_over_all_orders_of_replacing_the_rates(pair: tuple[Run, Run]) -> None:
    positions = only(attribute(*pair, ["qa"])).positions

    def rate(own: float | None, other: float | None) -> float:
        return own if own is not None else other if other is not None else 0.0

    before = [rate(p.rate_before, p.rate_after) for p in positions]
    after = [rate(p.rate_after, p.rate_before) for p in positions]
    totals = [0.0] * 4
    orders = list(permutations(range(4)))
    for order in orders:
        rates = list(before)
        for k in order:
            earlier = length(rates)
            rates[k] = after[k]
            totals[k] += length(rates) - earlier
    assert [p.effect for p in positions] == pytest.approx([total / len(orders) for total in totals], abs=1e-12)


def test_a_rate_that_did_not_change_has_no_effect() -> None:
    # Rates 0.5, 0.5 become 0.25, 0.5.
    found = only(attribute(measured([(4, 2, 2)]), measured([(12, 2, 2)]), ["qa"]))
    assert [replace(p, effect=round(p.effect, 12)) for p in found.positions] == [
        DraftPosition(1, 0.5, 0.25, 0.5, 0.25, -0.375),
        DraftPosition(2, 0.5, 0.5, 0.25, 0.125, 0.0),
    ]


def test_a_position_that_is_never_reached_has_no_rate_and_no_effect() -> None:
    found = only(attribute(measured([(4, 2, 2)]), measured([(8, 0, 0)]), ["qa"]))
    assert [p.rate_after for p in found.positions] == [0.0, None]
    assert [p.effect for p in found.positions] == [pytest.approx(-0.75), 0.0]


def test_a_shorter_draft_never_reaches_the_last_position() -> None:
    found = only(attribute(measured([(4, 2, 2)]), measured([(4, 4)]), ["qa"]))
    assert [p.effect for p in found.positions] == [0.0, pytest.approx(-0.25)]
    assert found.positions[1].rate_after == 0.0


def test_steps_without_a_draft_are_position_0() -> None:
    found = only(attribute(measured([(0, 10)], [0]), measured([(0, 10)], [10]), ["qa"]))
    assert (found.before, found.after) == (2.0, 1.5)
    assert [replace(p, effect=round(p.effect, 12)) for p in found.positions] == [
        DraftPosition(0, 1.0, 0.5, 1.0, 0.5, -0.5),
        DraftPosition(1, 1.0, 1.0, 1.0, 0.5, 0.0),
    ]


def test_every_prompt_weighs_alike() -> None:
    before = measured([(0, 100), (0, 1)])
    after = measured([(100, 0), (0, 1)])
    found = only(attribute(before, after, ["qa"]))
    assert found.change == -0.5
    assert sum(p.effect for p in found.positions) == -0.5
    assert sum(p.effect for p in found.positions_pooled) == pytest.approx(-100 / 101)


@settings(max_examples=30, deadline=None)
@given(sides(draft_length=3, most_undrafted=3), sides(draft_length=3))
def test_several_runs_of_the_candidate_add_up_too(pair: tuple[Run, Run], others: tuple[Run, Run]) -> None:
    before, *runs = *pair, *others
    fewest = min(len(side.conversations) for side in (before, *runs))
    before, *runs = (replace(side, conversations=side.conversations[:fewest]) for side in (before, *runs))
    found = only(attribute(before, runs, ["qa"]))
    assert sum(p.effect for p in found.positions) == pytest.approx(found.change, abs=1e-12)
    assert found.after == pytest.approx(1 + sum(p.joint_after for p in found.positions if p.position), abs=1e-12)


def labelled(subs: Sequence[str], accepted: Sequence[int], category: str = "qa") -> list[Conversation]:
    return [
        prompt(i, (10 - a, a), sub=sub, category=category)
        for i, (sub, a) in enumerate(zip(subs, accepted, strict=True))
    ]


def test_sub_categories_come_by_what_they_cost() -> None:
    subs = ["x", "y", "x", "z"]
    found = only(attribute(run(labelled(subs, [8, 8, 8, 4])), run(labelled(subs, [6, 2, 8, 5])), ["qa"]))
    assert [(part.name, part.prompts) for part in found.parts] == [("y", 1), ("x", 2), ("z", 1)]
    assert [part.contribution for part in found.parts] == pytest.approx([-0.15, -0.05, 0.025])
    assert (found.parts[1].before, found.parts[1].after) == pytest.approx((1.8, 1.7))
    assert found.parts[1].change == pytest.approx(1.7 / 1.8 - 1)
    assert (found.fell, found.rose) == (2, 1)


def test_the_parts_of_all_prompts_together_are_categories() -> None:
    before = run(labelled("aa", [8, 8], "qa") + labelled("aa", [8, 8], "math"))
    after = run(labelled("aa", [4, 8], "qa") + labelled("aa", [8, 8], "math"))
    found = only(attribute(before, after, [OVERALL]))
    assert found.parts_by == "category"
    assert [(part.name, round(part.contribution, 12)) for part in found.parts] == [("qa", -0.1), ("math", 0.0)]


def test_a_category_that_cannot_be_compared_is_not_in_overall() -> None:
    broken = [replace(c, turns=(replace(c.turns[0], acceptance=None),)) for c in labelled("a", [8], "math")]
    before = run(labelled("aa", [8, 8]) + labelled("aa", [8, 8], "math"))
    after = run(labelled("aa", [4, 8]) + broken + labelled("aa", [8, 0], "math")[1:])
    found = attribute(before, after, [OVERALL, "law"])
    assert [(c.name, c.prompts, round(c.change, 12)) for c in found.categories] == [(OVERALL, 2, -0.2)]
    assert found.not_located == ("law",)


def test_thirds_are_by_length_and_keep_equal_lengths_together() -> None:
    accepted = [8] * 9
    before, after = run(labelled("a" * 9, accepted)), run(labelled("a" * 9, [8, 8, 8, 6, 6, 6, 2, 2, 2]))
    found = only(attribute(before, after, ["qa"]))
    assert [(third.name, third.prompts) for third in found.by_prompt_tokens] == [
        ("10–12 tokens", 3),
        ("13–15 tokens", 3),
        ("16–18 tokens", 3),
    ]
    assert [third.contribution for third in found.by_prompt_tokens] == pytest.approx([0, -0.2 / 3, -0.2])
    assert found.by_output_tokens == ()  # all outputs are equally long

    def lengths(*tokens: int) -> list[tuple[str, int]]:
        own = [
            replace(c, turns=(replace(c.turns[0], prompt_tokens=tokens[i]),)) for i, c in enumerate(after.conversations)
        ]
        return [(t.name, t.prompts) for t in only(attribute(before, run(own), ["qa"])).by_prompt_tokens]

    assert lengths(5, 5, 5, 5, 5, 5, 7, 8, 9) == [("5 tokens", 6), ("7–9 tokens", 3)]
    assert lengths(1, 2, 3, 5, 5, 5, 5, 5, 5) == [("1–3 tokens", 3), ("5 tokens", 6)]
    assert lengths(1, 5, 5, 5, 5, 5, 5, 5, 9) == [("1–5 tokens", 8), ("9 tokens", 1)]


def test_too_few_prompts_have_no_thirds() -> None:
    found = only(attribute(run(labelled("a" * 5, [8] * 5)), run(labelled("a" * 5, [2] * 5)), ["qa"]))
    assert found.by_prompt_tokens == ()


def test_movers_go_the_way_of_the_category() -> None:
    before, after = [5] * 14, [1, 4, 10, 3, *[4] * 10]
    fallen = only(attribute(run(labelled("a" * 14, before)), run(labelled("a" * 14, after)), ["qa"]))
    assert len(fallen.movers) == MOST_MOVERS
    assert [mover.question_id for mover in fallen.movers[:4]] == ["qa-00", "qa-03", "qa-01", "qa-04"]
    assert fallen.movers[0].contribution == pytest.approx(-0.4 / 14)
    assert (fallen.movers[0].baseline_steps, fallen.movers[0].turns) == (10, 1)
    risen = only(attribute(run(labelled("a" * 14, after)), run(labelled("a" * 14, before)), ["qa"]))
    assert risen.movers[0].question_id == "qa-00"
    assert all(mover.contribution > 0 for mover in risen.movers)


def test_another_output_is_marked() -> None:
    before, after = labelled("aa", [8, 8]), labelled("aa", [4, 2])
    after[0] = replace(after[0], turns=(replace(after[0].turns[0], output_ids=(9, 9)),))
    found = only(attribute(run(before), run(after), ["qa"]))
    assert {mover.question_id: mover.same_output for mover in found.movers} == {"qa-00": False, "qa-01": True}


def test_shares_outside_the_vocabulary() -> None:
    outputs = [(1, 2, 3, 4), (1, 1, 9, 9, 9, 9)]
    after = [
        replace(c, turns=(replace(c.turns[0], output_ids=ids),))
        for c, ids in zip(labelled("xy", [4, 2]), outputs, strict=True)
    ]
    others = labelled("a", [8], "math")
    found = only(
        attribute(run(labelled("xy", [8, 8]) + others), run(after + others), ["qa"], np.array([0, 1, 2, 3, 4]))
    )
    assert found.outside_share == 0.4
    assert found.outside_share_elsewhere == 0.0
    assert [mover.outside_share for mover in found.movers] == [4 / 6, 0.0]
    assert [part.outside_share for part in found.parts] == [4 / 6, 0.0]
    without = only(attribute(run(labelled("xy", [8, 8])), run(after), ["qa"]))
    assert without.outside_share is without.movers[0].outside_share is without.parts[0].outside_share is None


def test_a_baseline_says_the_same_as_the_run_it_was_made_of() -> None:
    before = run([conversation(f"qa-{i}", "qa", turn([3, 2, i % 4]), turn([1])) for i in range(7)])
    after = run([conversation(f"qa-{i}", "qa", turn([1, 2, i % 3]), turn([1])) for i in range(7)])
    baseline = Baseline.from_run(before, date="2026-03-01")
    assert attribute(baseline, after, ["qa"]).categories == attribute(before, after, ["qa"]).categories
    found = only(attribute(baseline, after, ["qa"]))
    assert found.before == pytest.approx(fmean(c.acceptance.al or 0 for c in before.conversations if c.acceptance))


def pair(drafter: Drafter | None) -> Pair:
    return Pair("p", "transformers", "bundled:target", drafter)


def test_only_a_pruned_head_has_a_vocabulary() -> None:
    pruned = vocabulary_of(pair(Drafter(DrafterMethod.EAGLE3, "bundled:eagle3-pruned")))
    assert pruned is not None
    assert len(np.unique(pruned)) == 1024
    assert vocabulary_of(pair(Drafter(DrafterMethod.EAGLE3, "bundled:eagle3"))) is None
    assert vocabulary_of(pair(Drafter(DrafterMethod.DRAFT_MODEL, "bundled:draft"))) is None
    assert vocabulary_of(pair(Drafter(DrafterMethod.NGRAM))) is None
    assert vocabulary_of(pair(None)) is None


def test_a_head_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        vocabulary_of(pair(Drafter(DrafterMethod.EAGLE3, str(tmp_path / "gone"))))
