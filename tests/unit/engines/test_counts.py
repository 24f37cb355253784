from __future__ import annotations

from typing import Any

import pytest

from pytest_speedbench.engines.counts import count, counts


class Whole:
    """An integer of another library."""

    def __index__(self) -> int:
        return 3


def test_integers_are_counts_whoever_made_them() -> None:
    assert (count(0, "steps"), count(10**30, "steps"), count(Whole(), "steps")) == (0, 10**30, 3)
    assert type(count(Whole(), "steps")) is int
    assert counts([1, Whole()], "histogram") == (1, 3)


@pytest.mark.parametrize("value", [True, 1.0, 1.5, "1", None, [1], float("nan"), -1])
def test_nothing_else_is(value: Any) -> None:
    with pytest.raises(ValueError, match=r"steps is .*, and no count"):
        count(value, "steps")
    with pytest.raises(ValueError, match=r"histogram\[1\] is .*, and no count"):
        counts([0, value], "histogram")


@pytest.mark.parametrize("value", ["12", b"12", {"0": 1}, 12, None])
def test_a_list_of_counts_is_a_list(value: Any) -> None:
    with pytest.raises(ValueError, match="no list of counts"):
        counts(value, "histogram")


def test_what_is_shown_of_a_wrong_value_is_short() -> None:
    with pytest.raises(ValueError, match="no count") as wrong:
        count("x" * 10_000, "steps")
    assert len(str(wrong.value)) < 100
