from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.config import Load, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.measure import Conversation, Run, SplitIdentity, Turn
from pytest_speedbench.metrics.lossless import Difference, differences

Outputs = dict[str, list[list[int]]]


def run(outputs: Outputs) -> Run:
    def turn(ids: list[int]) -> Turn:
        return Turn(1, "hash", tuple(ids), "stop", 0.0, ((0.1, len(ids)),), None)

    return Run(
        pair=Pair("pair", "engine", "model"),
        engine=EngineInfo("engine", "1", {}, "cpu", 1, None, None, 256, 1024, ()),
        models=ModelIdentity("t", "k", "c", None),
        split=SplitIdentity("split", "hash", len(outputs)),
        sampling=Sampling(8),
        load=Load(),
        conversations=tuple(
            Conversation(name, "math", "", tuple(turn(ids) for ids in turns)) for name, turns in outputs.items()
        ),
        environment=MappingProxyType({}),
    )


def test_the_first_difference_of_each_conversation() -> None:
    target = run({"a": [[1, 2, 3]], "b": [[1], [4, 5, 6]], "c": [[7, 8]], "d": [[9]]})
    pair = run({"a": [[1, 2, 3]], "b": [[1], [4, 0, 0]], "c": [[7]], "d": [[9, 9]]})
    assert differences(target, pair) == (
        Difference("b", 1, 1, (4,), 5, 0),
        Difference("c", 0, 1, (7,), 8, None),
        Difference("d", 0, 1, (9,), None, 9),
    )


def test_turns_after_a_difference_are_not_looked_at() -> None:
    assert differences(run({"a": [[1], [2]]}), run({"a": [[0], [2]]})) == (Difference("a", 0, 0, (), 1, 0),)


def test_only_what_the_target_alone_was_asked_is_compared() -> None:
    assert differences(run({"b": [[2]]}), run({"a": [[1]], "b": [[2]]})) == ()
    with pytest.raises(ValueError, match="was not asked 'a'"):
        differences(run({"a": [[1]]}), run({"b": [[1]]}))


@given(st.dictionaries(st.text(min_size=1), st.lists(st.lists(st.integers(0, 9)), min_size=1)))
def test_equal_outputs_have_no_difference(outputs: Outputs) -> None:
    assert differences(run(outputs), run(outputs)) == ()
