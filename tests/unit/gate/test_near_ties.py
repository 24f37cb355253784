"""Replayed figures are judged with what near ties of the target may add to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.gate import GateResult, Pairing, Verdict, compare, failure_message, pair_up
from pytest_speedbench.measure.run import Run
from pytest_speedbench.numerics import Exposure
from pytest_speedbench.report.gate import gate_entry
from pytest_speedbench.report.terminal import gate_lines
from tests.unit.gate.pairs import Prompt, geometric, pairing, redrawn
from tests.unit.metrics.runs import conversation, run, turn

SAME = [2.0, 2.4, 1.8, 2.2, 2.6, 1.9, 2.1, 2.3] * 4


def exposed(data: Pairing, *shares: float | None) -> Pairing:
    """Prompt by prompt in turn."""
    pairs = (replace(pair, exposed=shares[number % len(shares)]) for number, pair in enumerate(data.pairs))
    return replace(data, pairs=tuple(pairs))


def one_category(before: Sequence[Prompt], after: Sequence[Prompt]) -> Pairing:
    return pairing({"qa": (before, after)})


def table(result: GateResult) -> str:
    return "\n".join(gate_lines(gate_entry("test", "small", result), width=200, colour=False))


def test_an_equal_replay_proves_no_more_than_rounding_leaves() -> None:
    data = one_category(SAME, SAME)
    sure, doubtful = compare(data).rows[0], compare(exposed(data, 0.9)).rows[0]
    assert sure.verdict is Verdict.NO_REGRESSION
    assert doubtful.verdict is Verdict.UNDECIDED
    assert sure.changes[0].near_ties is None
    change = doubtful.changes[0]
    assert change.near_ties is not None
    assert change.upper == pytest.approx(np.expm1(change.near_ties))
    assert change.lower == pytest.approx(np.expm1(-change.near_ties))
    few = compare(exposed(data, 0.9, 0.0, 0.0)).rows[0].changes[0]
    assert few.near_ties == pytest.approx(change.near_ties / np.sqrt(32 / 11), rel=0.1)


def test_a_drop_must_be_surer_the_more_is_exposed() -> None:
    before, after = redrawn(np.random.default_rng(3), 60, drop=0.06)
    data = one_category(before, after)
    p_values = [compare(exposed(data, share)).rows[0].changes[0].p_value or 0.0 for share in (0.0, 0.1, 0.4, 1.0)]
    assert p_values == sorted(p_values)
    assert p_values[0] < 0.001 < p_values[-1]


def test_it_covers_texts_that_were_decoded_anew() -> None:
    """Every prompt's steps after a place of its own drawn again: the widened interval holds the new figures."""
    rng, held, rounds = np.random.default_rng(7), {"al_macro": 0, "al_pooled": 0}, 200
    for _ in range(rounds):
        rates, shares = rng.beta(12, 8, size=20), rng.choice([0.0, 0.25, 0.75], size=20)
        kept = [
            geometric(rng, rate, max(1, round(60 * (1 - share)))) for rate, share in zip(rates, shares, strict=True)
        ]
        texts = []
        for _side in range(2):
            drawn = [
                replace(
                    head,
                    histogram=tuple(
                        a + b
                        for a, b in zip(
                            head.histogram, geometric(rng, rate, int(rng.integers(30, 90))).histogram, strict=True
                        )
                    ),
                )
                if share
                else head
                for head, rate, share in zip(kept, rates, shares, strict=True)
            ]
            texts.append(drawn)
        replayed, decoded = texts
        wide = compare(exposed(one_category(replayed, replayed), *shares)).rows[0]
        seen = compare(one_category(replayed, decoded)).rows[0]
        for metric in held:
            width, moved = wide.change_of(metric), seen.change_of(metric)
            assert width is not None
            assert moved is not None
            assert width.lower is not None
            assert width.upper is not None
            held[metric] += width.lower <= moved.change <= width.upper
    assert min(held.values()) >= 0.98 * rounds


def test_it_says_how_much() -> None:
    data = exposed(pairing({"qa": (SAME, [length * 0.7 for length in SAME]), "rag": (SAME, SAME)}), 0.5)
    result = compare(data)
    assert result.failed
    width = result.rows[0].changes[0].near_ties
    assert width is not None
    assert f"tolerance 1.0%, near ties ±{width:.1%} in the interval" in " ".join(failure_message(result).split())
    assert f"1.0% ±{width:.1%}" in table(result)
    assert "the lengths, overall by ±" in table(result)


def test_a_very_small_width_is_said_and_not_zero() -> None:
    result = compare(exposed(one_category(SAME, SAME), 1e-9))
    assert result.rows[0].verdict is Verdict.NO_REGRESSION
    assert "the lengths, most in qa, by less than ±0.10%" in table(result)


def test_what_is_not_known_is_said() -> None:
    data = exposed(one_category(SAME, SAME), 0.5, None)
    result = compare(data)
    assert "how far another rounding of the target could move the figures is not known" in table(result)


def replayed(*shares: float | None) -> Run:
    """One prompt per share, replayed with that exposure."""
    made = turn([1, 2, 0])
    assert made.acceptance is not None
    record = replace(made.acceptance, source=AcceptanceSource.REPLAY)
    turns = [
        replace(made, acceptance=record, exposure=None if share is None else Exposure(share, 1 - share))
        for share in shares
    ]
    return run([conversation(f"q{number}", "qa", one) for number, one in enumerate(turns)])


def test_the_exposure_of_a_run_reaches_the_gate() -> None:
    decoded = run([conversation(f"q{number}", "qa", turn([1, 2, 0])) for number in range(3)])
    ours = replayed(0.5, 0.25, None)
    assert [pair.exposed for pair in pair_up(decoded, decoded).pairs] == [0.0, 0.0, 0.0]
    assert [pair.exposed for pair in pair_up(decoded, ours).pairs] == [0.5, 0.25, None]
    assert [pair.exposed for pair in pair_up(ours, decoded).pairs] == [0.5, 0.25, None]
    other = replayed(0.25, 0.5, 0.0)
    assert [pair.exposed for pair in pair_up(ours, other).pairs] == [0.5, 0.5, None], "of one text, not of two"
