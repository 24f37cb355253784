"""An engine for a process of its own that makes trouble as its pair's engine arguments say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.errors import EngineError, UnsupportedError
from tests.scripted_engine import ScriptedEngine

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


class TroubledEngine(ScriptedEngine):
    """``trouble`` names what goes wrong; ``pids`` is a file for the process ids of what it leaves running."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._trouble = str(pair.engine_args.get("trouble"))
        self._pids = pair.engine_args.get("pids")

    async def start(self) -> EngineInfo:
        sys.stdout.write("loading the weights\n")
        self._leave_children()
        if self._trouble == "refuse":
            raise EngineError("The weights are torn.", "Mend them.")
        if self._trouble == "raise":
            raise RuntimeError("out of luck")
        if self._trouble == "exit":
            os._exit(7)
        if self._trouble == "hang":
            _block()
        return await super().start()

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        if self._trouble == "die":
            yield Emission((1,), time.perf_counter())
            os._exit(9)
        if self._trouble == "fall silent":
            yield Emission((1,), time.perf_counter())
            _block()
        if self._trouble == "not able to":
            raise UnsupportedError("No engine can.", "Do without.")
        if self._trouble == "raise later":
            raise RuntimeError("lost the thread")
        async for event in super().generate(request):
            yield event

    async def counters(self) -> SpeculationCounters | None:
        return SpeculationCounters(4, 12, (3, 2, 1))

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        return tuple((prompt_ids[-1] + n, -float(n)) for n in range(count))

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        return (prompt_ids[0], *prompt_ids)

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...] | None:
        return tuple(output / prompt_ids[0] for output in output_ids) if prompt_ids[0] else None

    async def stop(self) -> None:
        if self._trouble == "never stop":
            _block()

    def _leave_children(self) -> None:
        if isinstance(self._pids, str):
            same = subprocess.Popen(SLEEP)
            own = subprocess.Popen(SLEEP, start_new_session=True)
            Path(self._pids).write_text(f"{os.getpid()} {same.pid} {own.pid}")


def _block() -> None:
    """As an engine does whose own code never returns to the event loop."""
    time.sleep(600)
