"""How outputs open: their first tokens tell a target, in a few short requests before everything is measured."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Emission, Engine, Request
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.tokenized import Tokenized

OPENING_TOKENS = 16
"""So many output tokens of the first turn are its opening."""


def opening_sha256(output_ids: Sequence[int]) -> str:
    """A piece of the hash of an output's first ids; equal ones mean equal first tokens."""
    opening = output_ids[:OPENING_TOKENS]
    return hashlib.sha256(",".join(map(str, opening)).encode()).hexdigest()[:16]


async def openings_of(
    engine: Engine, first_turns: Tokenized, wanted: Sequence[str], sampling: Sampling, silence_s: float
) -> Mapping[str, str]:
    """How the target opens its greedy answers to the first turns of these prompts, one at a time.

    Args:
        engine: started.
        first_turns: of all prompts.
        wanted: ids of some.
        sampling: greedy; at most so many tokens as an opening has.
        silence_s: how long the engine may say nothing.

    Returns:
        Hashes as from :func:`opening_sha256`, by question id.

    Raises:
        EngineError: the engine failed or said nothing for too long.
    """
    places = {name: place for place, name in enumerate(first_turns.question_ids)}
    found = {}
    for name in wanted:
        request = Request(f"{name}/opening", first_turns.request_ids(places[name]), sampling)
        try:
            ids = [token async for token in _tokens(engine, request, silence_s)]
        except asyncio.TimeoutError:
            raise EngineError(
                f"The engine said nothing for {silence_s:g} s when it was asked how an answer opens.",
                "Look at its log, or raise --speedbench-silence-timeout.",
            ) from None
        found[name] = opening_sha256(ids)
    return found


async def _tokens(engine: Engine, request: Request, silence_s: float) -> AsyncIterator[int]:
    async with aclosing(engine.generate(request)) as items:
        while True:
            try:
                item = await asyncio.wait_for(anext(items), silence_s)
            except StopAsyncIteration:
                return
            if isinstance(item, Emission):
                for token in item.token_ids:
                    yield token
