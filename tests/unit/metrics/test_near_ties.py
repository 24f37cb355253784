"""How much of a replayed conversation rounding may have made another text of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.measure.run import Turn
from pytest_speedbench.metrics.near_ties import exposed_share
from pytest_speedbench.numerics import Exposure
from tests.unit.metrics.runs import conversation, turn


def replayed(steps: int, exposure: Exposure | None) -> Turn:
    made = turn([1] * steps)
    assert made.acceptance is not None
    return replace(made, acceptance=replace(made.acceptance, source=AcceptanceSource.REPLAY), exposure=exposure)


def test_decoded_steps_are_not_in_doubt() -> None:
    assert exposed_share(conversation("q", "qa", turn([1, 2]), turn([0]))) == 0.0


def test_without_margins_it_is_not_known() -> None:
    known = replayed(3, Exposure(0.1, 0.9))
    assert exposed_share(conversation("q", "qa", known, replayed(2, None))) is None


def test_a_later_turn_follows_all_that_changed_before_it() -> None:
    one = replayed(4, Exposure(0.25, 0.5))
    assert exposed_share(conversation("q", "qa", one)) == 0.25
    two = conversation("q", "qa", one, replayed(12, Exposure(0.0, 1.0)))
    assert exposed_share(two) == pytest.approx((4 * 0.25 + 12 * 0.5) / 16)
    three = conversation("q", "qa", one, replayed(4, Exposure(0.5, 0.2)), replayed(8, Exposure(0.0, 1.0)))
    assert exposed_share(three) == pytest.approx((4 * 0.25 + 4 * 0.75 + 8 * 0.9) / 16)


def test_a_turn_without_a_step_weighs_nothing() -> None:
    empty = replayed(0, None)
    assert exposed_share(conversation("q", "qa", replayed(2, Exposure(0.5, 0.5)), empty)) == 0.5
