from __future__ import annotations

import numpy as np
import pytest

from pytest_speedbench.conformance import two_samples
from pytest_speedbench.conformance.two_samples import ENDED, compare_samples, shares

POSITIONS = 4
CHANCES = ((0.5, 0.2, 0.1, *[0.02] * 10), (0.3, 0.3, *[0.02] * 20), (0.9, 0.05, 0.05))


def draw(
    random: np.random.Generator, count: int, greedy: float = 0.0, at: tuple[int, ...] = (0, 1, 2, 3)
) -> list[list[list[int]]]:
    """Outputs per prompt; a share of the tokens ``at`` some positions is the most probable one."""
    prompts = []
    for chances in CHANCES:
        tokens = random.choice(len(chances), p=chances, size=(count, POSITIONS))
        tokens[:, at] = np.where(random.random((count, len(at))) < greedy, 0, tokens[:, at])
        prompts.append(tokens.tolist())
    return prompts


def test_equal_distributions_are_not_told_apart_and_the_false_alarm_rate_is_as_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 20 labellings the stated rate is 1 in 20: of 400 comparisons 20 ± 4.4 are false alarms."""
    monkeypatch.setattr(two_samples, "LABELLINGS", 20)
    monkeypatch.setattr(two_samples, "_TRIALS", 1)
    random = np.random.default_rng(5)
    alarms = sum(compare_samples(draw(random, 20), draw(random, 20), POSITIONS, seed=n).differ for n in range(400))
    assert 8 <= alarms <= 34


def test_greedy_outputs_are_found_even_in_few_draws() -> None:
    random = np.random.default_rng(6)
    found = compare_samples(draw(random, 12, greedy=1.0), draw(random, 12), POSITIONS)
    assert found.differ
    assert found.seen_share is None


def test_the_position_is_named() -> None:
    random = np.random.default_rng(7)
    found = compare_samples(draw(random, 100, greedy=0.8, at=(2,)), draw(random, 100), POSITIONS)
    assert found.differ
    assert found.position == 3
    assert found.scores[0] is not None
    assert found.scores[0] < 6


@pytest.mark.parametrize(("draws", "share"), [(60, 0.6), (100, 0.5)])
def test_the_stated_smallest_difference_is_found_19_times_in_20(draws: int, share: float) -> None:
    """And what is half as large is not always found: the statement is neither bold nor timid."""
    random = np.random.default_rng(8)
    stated = compare_samples(draw(random, draws), draw(random, draws), POSITIONS).seen_share
    assert stated is not None
    assert stated <= share

    def found(greedy: float) -> int:
        both = [(draw(random, draws, greedy), draw(random, draws)) for _ in range(12)]
        return sum(compare_samples(one, other, POSITIONS).differ for one, other in both)

    assert found(min(1.0, stated * 1.1)) >= 10
    assert found(stated / 3) <= 6


def test_outputs_that_are_all_alike_show_nothing() -> None:
    same = [[[1, 2, 3, 4]] * 20]
    assert compare_samples(same, same, POSITIONS) == two_samples.TwoSamples(False, 1, (None,) * POSITIONS, None, None)


def test_an_output_that_ended_before_differs_from_one_that_did_not() -> None:
    assert compare_samples([[[1]] * 20], [[[1, 2]] * 20], 2).differ
    assert shares([[1], [1, 2], [1, 2], [1, 3]], 2) == {ENDED: 0.25, 2: 0.5, 3: 0.25}


def test_uneven_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        compare_samples([[[1]] * 3], [[[1]] * 2], 1)
