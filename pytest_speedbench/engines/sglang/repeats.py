"""Prompts that are asked again, of an engine whose n-gram drafter remembers every answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager


class Repeats:
    """Has an engine forget its answers before a prompt is asked again.

    SGLang's n-gram drafter drafts from all answers since the start, whoever they were for. Asked a second time, a
    prompt would be drafted from its own answer, and every repeat of a measurement would read a far greater acceptance
    than the first. So what was learnt is dropped when a prompt comes again while nothing is under way.

    Args:
        forget: drops it; called with nothing under way.
    """

    def __init__(self, forget: Callable[[], Awaitable[None]]) -> None:
        self._forget = forget
        self._asked: set[int] = set()
        self._under_way = 0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def asking(self, prompt_ids: tuple[int, ...]) -> AsyncGenerator[None, None]:
        """Around one request."""
        async with self._turn:
            if hash(prompt_ids) in self._asked and not self._under_way:
                await self._forget()
                self._asked.clear()
            self._asked.add(hash(prompt_ids))
            self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
