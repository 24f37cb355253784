"""How many threads an operator may have so that it waits for nobody.

Each operator of a model waits for its last thread. Where another process keeps a core busy, that thread waits for its
turn there, thousands of times a second: a replay of 0.12 s took 6.2 s so, with one thread it takes 0.2 s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

_WINDOW_S = 0.1
"""The least time to look back over: the system counts in hundredths of a second."""
_SPARE_CORES = 0.3
"""So much of a core may be busy with others, as it always is a little, before it counts as taken."""


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Seconds so far: on a clock, and of all the cores that we may use, those kept busy by anybody and by us."""

    at_s: float
    busy_s: float
    ours_s: float


def usable_cores() -> tuple[int, ...]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def core_times() -> CoreTimes:
    """Now."""
    every, mine = psutil.cpu_times(percpu=True), usable_cores()
    rows = [every[core] for core in mine if core < len(every)]
    busy_s = sum(sum(getattr(row, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")) for row in rows)
    return CoreTimes(time.perf_counter(), busy_s, time.process_time())


class FreeCores:
    """Chooses a number of threads by how busy others kept the cores since the last choice.

    Args:
        most: threads at the most; ``None`` for as many as there are cores.
        cores: how many cores there are.
        times: reads the clocks.
    """

    def __init__(self, most: int | None, cores: int | None = None, times: Callable[[], CoreTimes] = core_times) -> None:
        self._cores = len(usable_cores()) if cores is None else cores
        self._most = self._cores if most is None else most
        self._times = times
        self._since = times()
        self._threads = 1

    def threads(self) -> int:
        """At least one, and not more than there are cores that others leave free; one until it has looked a while."""
        now = self._times()
        passed_s = now.at_s - self._since.at_s
        if passed_s >= _WINDOW_S:
            others = max((now.busy_s - self._since.busy_s) - (now.ours_s - self._since.ours_s), 0.0) / passed_s
            self._threads = max(1, min(self._most, int(self._cores - others + _SPARE_CORES)))
            self._since = now
        return self._threads
