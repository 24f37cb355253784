"""Several requests under way, and one that nobody waits for any more."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from pytest_speedbench.config import Sampling
from pytest_speedbench.conformance.asking import Answer, all_of, ask_together, following, request, within
from pytest_speedbench.conformance.comparing import check_equal
from pytest_speedbench.conformance.findings import BrokenPromiseError
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.engines.base import Emission, Engine
from pytest_speedbench.measure.counters import read_counters

_AT_ONCE = 8
_MOST_LIMIT = 32
_LONG_TOKENS = 512
_CLOSE_S = 20.0
_NEXT_S = 5.0
_SETTLE_S = 0.5
_STEPS_IN_FLIGHT = 4


async def concurrency_changes_nothing(subject: Subject) -> str:
    """Answers at once equal those one at a time; more than ``max_concurrency`` at once are all answered."""
    side, engine = await subject.side(), await subject.engine()
    alone = await subject.greedy(subject.pair)
    limit = side.info.max_concurrency
    at_once = 2 if limit == 1 else _AT_ONCE
    if limit is not None and 1 < limit <= _MOST_LIMIT and subject.effort.prompts > 3:
        at_once = limit + 2
    asked = [(alone[n % len(alone)].prompt_ids, alone[0].sampling) for n in range(max(at_once, len(alone)))]
    if subject.effort.reduced:
        asked = asked[: max(2, len(alone))]
    began = time.perf_counter()
    together = await ask_together(engine, asked, at_once, subject.silence_s)
    took_s = time.perf_counter() - began
    subject.log.extend(together)
    expected = [alone[n % len(alone)] for n in range(len(asked))]
    compared = await check_equal(engine, side.info, expected, together, f"at {at_once} at once")
    one_by_one_s = sum(answer.seconds for answer in expected)
    figures = f"{min(at_once, len(asked))} at once: {compared}; {took_s:.1f} s, one by one {one_by_one_s:.1f} s"
    return figures + ("; it decodes one at a time, as it says" if limit == 1 else "")


async def cancelling_frees(subject: Subject) -> str:
    """Closing a stream ends its request soon; others under way and the next one are answered as ever."""
    side, engine = await subject.side(), await subject.engine()
    ids = subject.prompts.one_per_category[0]
    limit = min(_LONG_TOKENS, side.info.context_tokens - len(ids) - 16)
    others = (await subject.greedy(subject.pair))[1:3] if side.info.max_concurrency != 1 else []
    under_way = asyncio.ensure_future(all_of([subject.ask(answer.prompt_ids, answer.sampling) for answer in others]))
    try:
        close_s = await _cancelled(engine, subject, ids, limit)
        began = time.perf_counter()
        following_one = await subject.ask(ids, side.pilot.sampling)
        next_s = time.perf_counter() - began
        undisturbed: list[Answer] = await under_way
    finally:
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)
    await check_equal(engine, side.info, [side.pilot], [following_one], "after a cancelled request")
    await check_equal(engine, side.info, others, undisturbed, "beside a cancelled request")
    whole_s = limit * subject.effort.token_s
    if close_s + next_s > max(_NEXT_S, 4 * side.pilot.seconds) and close_s + next_s > whole_s / 2:
        raise BrokenPromiseError(
            f"the request after it took {next_s:.1f} s, as if the cancelled one were decoded to its end"
        )
    idle = await _goes_on(engine)
    beside = f", {len(others)} beside it undisturbed" if others else ""
    return f"closed in {close_s:.2f} s, the next one answered in {next_s:.2f} s{beside}{idle}"


async def _cancelled(engine: Engine, subject: Subject, ids: tuple[int, ...], limit: int) -> float:
    """Ask for a long output, leave after the second emission, and return how long leaving took, in seconds."""
    async with aclosing(engine.generate(request(ids, Sampling(limit, ignore_eos=True)))) as stream:
        for _ in range(2):
            if not isinstance(await following(stream, subject.silence_s), Emission):
                raise BrokenPromiseError(f"a request for {limit} tokens ended after one emission")
        began = time.perf_counter()
        await within(stream.aclose(), max(_CLOSE_S, 4 * subject.effort.token_s), "not let go of a cancelled request")
    return time.perf_counter() - began


async def _goes_on(engine: Engine) -> str:
    """Watch the counters of an engine that should have nothing to do.

    Raises:
        BrokenPromiseError: they go on growing.
    """
    await asyncio.sleep(_SETTLE_S)
    before = await read_counters(engine)
    if before is None:
        return ""
    await asyncio.sleep(_SETTLE_S)
    after = await read_counters(engine)
    steps = after.verify_steps - before.verify_steps if after is not None else 0
    if steps > _STEPS_IN_FLIGHT:
        raise BrokenPromiseError(
            f"{_SETTLE_S} s after a cancelled request its counters go on: {steps} more verify steps"
        )
    return "; its counters rest"
