"""Categories that are decided while a run is under way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling
from pytest_speedbench.engines.base import Emission, Finish, Request
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.driver import Progress, StopRule, measure
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.splits import Prompt
from tests.scripted_engine import ScriptedEngine
from tests.unit.measure.test_driver import Letters

PAIR = Pair("pair", "scripted", "model", Drafter(DrafterMethod.NGRAM), {"accept": 0.0, "slow_s": 0.001})


class Uneven(ScriptedEngine):
    """Output lengths as told, by request; each token takes 1 ms."""

    def __init__(self, length: Callable[[str], int] = lambda _: 4, pair: Pair = PAIR) -> None:
        super().__init__(pair)
        self._length = length
        self.finished: list[str] = []

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        tokens = self._length(request.request_id)
        asked = replace(request, sampling=replace(request.sampling, max_output_tokens=tokens))
        stream = super().generate(asked)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()
        self.finished.append(request.request_id)


class After:
    """Decides a category at a number of conversations, and others with it; remembers what it was shown."""

    def __init__(self, at: Mapping[str, int], also: Mapping[str, str] | None = None) -> None:
        self._at = at
        self._also = also or {}
        self.decided: set[str] = set()
        self.looks: list[tuple[str, tuple[str, ...]]] = []

    def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
        self.looks.append((grown, tuple(c.question_id for c in prefixes[grown])))
        if len(prefixes[grown]) == self._at.get(grown):
            self.decided |= {grown, self._also.get(grown, grown)}
        return frozenset(self.decided)


def prompts(turns: int = 1, **sizes: int) -> list[Prompt]:
    """Categories take turns as long as they have prompts."""
    ids = sorted((n, category) for category, size in sizes.items() for n in range(size))
    return [Prompt(f"{category}-{n}", category, "", ("?",) * turns) for n, category in ids]


def run(
    asked: Sequence[Prompt],
    stop: StopRule | None,
    concurrency: int,
    engine: ScriptedEngine | None = None,
    *,
    seen: list[Progress] | None = None,
    silence_s: float | None = None,
) -> tuple[Conversation, ...]:
    async def go() -> tuple[Conversation, ...]:
        used = engine or Uneven()
        info = await used.start()
        report = seen.append if seen is not None else None
        try:
            return await measure(
                used, info, Letters(), asked, Sampling(64), Load(concurrency), report, silence_s=silence_s, stop=stop
            )
        finally:
            assert used.running == 0
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(go())


def ids(found: Sequence[Conversation]) -> list[str]:
    return [conversation.question_id for conversation in found]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_decided_category_is_asked_no_more_and_the_others_are(concurrency: int) -> None:
    class Watching(After):
        def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
            decided = super().look(prefixes, grown)
            if len(self.looks) == 1:
                engine.most_running = 0
            return decided

    engine = Uneven(lambda request_id: 2 if request_id == "math-0/1" else 8)
    found = run(prompts(math=30, coding=30), Watching({"math": 1}), concurrency, engine)
    assert Counter(c.category for c in found) == {"math": 1, "coding": 30}
    assert all(request_id.startswith("math") for request_id in engine.cancelled)
    assert len(engine.cancelled) == (0 if concurrency == 1 else 3)
    assert engine.most_running == concurrency  # of what began after the decision


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_run_ends_when_all_is_decided_and_the_engine_goes_on(concurrency: int) -> None:
    engine = Uneven(lambda request_id: 2 if request_id == "coding-0/1" else 60_000)
    asked = prompts(coding=9, math=9, qa=9)
    started = time.monotonic()

    async def twice() -> tuple[tuple[Conversation, ...], tuple[Conversation, ...]]:
        info = await engine.start()
        args = (engine, info, Letters(), asked, Sampling(8), Load(concurrency))
        everything = After({"coding": 1}, {"coding": "math"})
        everything.decided = {"qa"}
        first = await measure(*args, stop=everything)
        assert (engine.running, len(engine.cancelled)) == (0, concurrency - 1)
        engine._length = lambda _: 2
        return first, await measure(*args)

    first, second = asyncio.run(twice())
    assert time.monotonic() - started < 10
    assert ids(first) == ["coding-0"]
    assert ids(second) == [prompt.question_id for prompt in asked]


def test_looks_see_what_was_queued_first_not_what_finished_first() -> None:
    engine = Uneven(lambda request_id: 40 if int(request_id.split("-")[1].split("/")[0]) % 3 == 0 else 2)
    rule = After({"math": 7})
    found = run(prompts(math=30), rule, 8, engine)
    assert engine.finished[0] != "math-0/1"  # the short ones did finish first
    assert [shown for _, shown in rule.looks] == [tuple(f"math-{i}" for i in range(n)) for n in range(1, 8)]
    assert ids(found) == [f"math-{n}" for n in range(7)]
    beyond = {request_id.removesuffix("/1") for request_id in engine.finished} - set(ids(found))
    assert beyond  # finished, but out of order: left out


def test_a_category_decided_with_another_keeps_its_prefix() -> None:
    engine = Uneven(lambda request_id: {"math-1/1": 60_000, "coding-2/1": 20}.get(request_id, 2))
    found = run(prompts(math=9, coding=3), After({"coding": 3}, {"coding": "math"}), 4, engine)
    assert ids(found) == ["coding-0", "math-0", "coding-1", "coding-2"]
    assert engine.cancelled == ["math-1/1"]


@settings(max_examples=60)
@given(
    sizes=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 12), min_size=1),
    at=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 13)),
    concurrency=st.integers(1, 9),
    turns=st.integers(1, 2),
    lengths=st.lists(st.integers(1, 12), min_size=1),
)
def test_what_is_kept_depends_on_the_prefixes_only(
    sizes: dict[str, int], at: dict[str, int], concurrency: int, turns: int, lengths: list[int]
) -> None:
    engine = Uneven(lambda request_id: lengths[sum(request_id.encode()) % len(lengths)], replace(PAIR, engine_args={}))
    asked = prompts(turns, **sizes)
    seen: list[Progress] = []
    rule = After(at)
    found = run(asked, rule, concurrency, engine, seen=seen)
    assert ids(found) == [p.question_id for p in asked if int(p.question_id[2:]) < at.get(p.category, 99)]
    assert [p.done for p in seen] == sorted({p.done for p in seen})
    assert (seen[-1].done, seen[-1].total) == (len(asked), len(asked))
    for category, size in sizes.items():
        looks = [len(shown) for grown, shown in rule.looks if grown == category]
        assert looks == list(range(1, min(size, at.get(category, size)) + 1))


def test_an_engine_that_fails_after_a_decision_is_heard() -> None:
    engine = Uneven(pair=replace(PAIR, engine_args={**PAIR.engine_args, "fail_at": 20}))
    with pytest.raises(EngineError, match="broke down"):
        run(prompts(math=30, coding=30), After({"math": 1}), 8, engine)


def test_an_engine_that_falls_silent_after_a_decision_is_noticed() -> None:
    engine = Uneven(pair=replace(PAIR, engine_args={"slow_s": 0.0}))

    class Hanging(After):
        def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
            engine._pair = replace(PAIR, engine_args={"slow_s": 60})
            return super().look(prefixes, grown)

    with pytest.raises(EngineError, match=r"has emitted nothing for 0\.2 s"):
        run(prompts(math=30, coding=30), Hanging({"coding": 1}), 4, engine, silence_s=0.2)


def test_a_rule_that_fails_ends_the_run() -> None:
    class Broken:
        def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
            raise ZeroDivisionError(grown, prefixes)

    with pytest.raises(ZeroDivisionError):
        run(prompts(math=30), Broken(), 4)


def test_a_cancelled_request_may_clean_up_in_peace() -> None:
    cleaned: list[str] = []

    class Tidy(Uneven):
        async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
            stream = super().generate(request)
            try:
                async for event in stream:
                    yield event
            finally:
                await stream.aclose()
                if request.request_id in self.cancelled:
                    await asyncio.sleep(0.05)
                    cleaned.append(request.request_id)

    # math is decided first; the request that follows fails and ends the run while math's other one is cleaned up.
    engine = Tidy(
        lambda request_id: 2 if request_id == "math-0/1" else 60_000,
        replace(PAIR, engine_args={**PAIR.engine_args, "fail_at": 5}),
    )
    with pytest.raises(EngineError, match="broke down"):
        run(prompts(math=9, coding=9), After({"math": 1}), 4, engine)
    assert sorted(cleaned) == ["coding-0/1", "coding-1/1", "math-1/1"]
