"""One request, asked and taken down."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_speedbench.config import Sampling
from pytest_speedbench.conformance.findings import BrokenPromiseError
from pytest_speedbench.engines.base import Emission, Engine, Finish, Request
from pytest_speedbench.errors import EngineError

T = TypeVar("T")

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished request.

    Attributes:
        prompt_ids: what was asked.
        sampling: and how.
        emissions: what came, in order.
        finish: its end.
        began_s: ``time.perf_counter()`` before it was asked, in seconds.
        arrived_s: the same when each emission was in our hands.
        after_finish: events that came after the end, which should be none.
    """

    prompt_ids: tuple[int, ...]
    sampling: Sampling
    emissions: tuple[Emission, ...]
    finish: Finish
    began_s: float
    arrived_s: tuple[float, ...]
    after_finish: int = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """All output ids."""
        return tuple(token for emission in self.emissions for token in emission.token_ids)

    @property
    def seconds(self) -> float:
        """From the question to the last emission."""
        return (self.arrived_s[-1] if self.arrived_s else time.perf_counter()) - self.began_s


def request(prompt_ids: Sequence[int], sampling: Sampling) -> Request:
    """A request with an id of its own."""
    return Request(f"conformance-{next(_NUMBERS)}", tuple(prompt_ids), sampling)


async def ask(engine: Engine, prompt_ids: Sequence[int], sampling: Sampling, silence_s: float) -> Answer:
    """Ask one request to its end.

    Args:
        engine: a started engine.
        prompt_ids: what is asked.
        sampling: and how.
        silence_s: how long it may emit nothing, in seconds.

    Raises:
        EngineError: the engine failed, or fell silent.
        BrokenPromiseError: the stream ended without an end.
    """
    asked = request(prompt_ids, sampling)
    emissions: list[Emission] = []
    arrived: list[float] = []
    finish: Finish | None = None
    after = 0
    began_s = time.perf_counter()
    async with aclosing(engine.generate(asked)) as stream:
        while (event := await following(stream, silence_s)) is not None:
            after += finish is not None
            if isinstance(event, Emission):
                emissions.append(event)
                arrived.append(time.perf_counter())
            elif finish is None:
                finish = event
    if finish is None:
        raise BrokenPromiseError(f"a request ended without a Finish after {len(emissions)} emissions")
    return Answer(asked.prompt_ids, sampling, tuple(emissions), finish, began_s, tuple(arrived), after)


async def ask_together(
    engine: Engine, asked: Sequence[tuple[Sequence[int], Sampling]], at_once: int, silence_s: float
) -> list[Answer]:
    """Ask many requests, so many at a time; the answers are in the order of the questions."""
    places = iter(range(len(asked)))
    answers: dict[int, Answer] = {}

    async def work() -> None:
        for place in places:
            answers[place] = await ask(engine, *asked[place], silence_s)

    await all_of([work() for _ in range(min(at_once, len(asked)))])
    return [answers[place] for place in range(len(asked))]


async def all_of(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all of them; when one fails the others are cancelled, and their clean-up awaited."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def following(stream: AsyncGenerator[Emission | Finish, None], silence_s: float) -> Emission | Finish | None:
    """The next event of a stream; ``None`` at its end.

    Raises:
        EngineError: nothing came in time.
    """
    try:
        return await within(anext(stream), silence_s, "emitted nothing")
    except StopAsyncIteration:
        return None


async def within(work: Awaitable[T], seconds: float, what: str) -> T:
    """Await something of the engine.

    Raises:
        EngineError: it took longer; ``what`` says what the engine has not done.
    """
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        raise EngineError(f"The engine has {what} for {seconds:.0f} s.", "It hangs, or is slower than that.") from None
