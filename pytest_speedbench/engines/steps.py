"""What every engine step emitted, for engines that merge the outputs of a consumer that lags."""

from __future__ import annotations

import time
from collections import deque
from itertools import accumulate

from pytest_speedbench.engines.base import Emission

Steps = deque[tuple[float, int]]
"""When each step's tokens arrived, and how many they were; taken from the left by whoever reads them."""


class OpenSteps:
    """The steps of all open requests. An adapter adds to it where its engine still knows them."""

    def __init__(self) -> None:
        self._open: dict[str, Steps] = {}

    def open(self, request_id: str) -> Steps:
        """Begin to log a request."""
        return self._open.setdefault(request_id, deque())

    def close(self, request_id: str) -> None:
        """Log it no longer."""
        self._open.pop(request_id, None)

    def add(self, request_id: str, at_s: float, tokens: int) -> None:
        """Note a step; nothing happens for requests that are not open, and for steps without tokens."""
        if tokens and request_id in self._open:
            self._open[request_id].append((at_s, tokens))


def accounts_for(token_ids: tuple[int, ...], steps: Steps) -> bool:
    """Whether the next logged steps are exactly these tokens, so that :func:`by_step` cuts them into single steps."""
    return len(token_ids) in accumulate((tokens for _, tokens in steps), initial=0)


def by_step(token_ids: tuple[int, ...], steps: Steps) -> list[Emission]:
    """Cut an output, which may hold several steps, into the steps it came from.

    What no logged step accounts for is one emission of now.
    """
    emissions: list[Emission] = []
    while token_ids and steps and steps[0][1] <= len(token_ids):
        at_s, tokens = steps.popleft()
        emissions.append(Emission(token_ids[:tokens], at_s))
        token_ids = token_ids[tokens:]
    if token_ids:
        emissions.append(Emission(token_ids, time.perf_counter()))
    return emissions
