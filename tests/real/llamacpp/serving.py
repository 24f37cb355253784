"""Engines that were started, on an event loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_speedbench.config import Load, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.http.own_server import OwnServer
from pytest_speedbench.engines.llamacpp.engine import LlamaCppEngine
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.measure.driver import measure
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.splits.schema import Prompt

_Result = TypeVar("_Result")


@dataclass
class Running:
    """A started engine."""

    loop: asyncio.AbstractEventLoop
    engine: LlamaCppEngine
    info: EngineInfo

    @classmethod
    def start(cls, pair: Pair, loop: asyncio.AbstractEventLoop) -> Running:
        engine = engine_factory(pair.engine).create(pair)
        assert isinstance(engine, LlamaCppEngine)
        return cls(loop, engine, loop.run_until_complete(engine.start()))

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.loop.run_until_complete(work)

    def stop(self) -> None:
        self.run(self.engine.stop())

    @property
    def server(self) -> OwnServer:
        assert self.engine._server is not None
        return self.engine._server

    def ask(
        self, prompts: Sequence[Prompt], concurrency: int, sampling: Sampling | None = None
    ) -> tuple[Conversation, ...]:
        encoder = TemplateEncoder.load(BUNDLED_FOLDER / "target")
        load = Load(concurrency)
        return self.run(measure(self.engine, self.info, encoder, prompts, sampling or Sampling(64), load, silence_s=60))

    def metric(self, name: str) -> float:
        assert self.engine._client is not None
        text = self.run(self.engine._client.get("/metrics")).decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))
