"""Runs engines in tests: start, a few requests, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.registry import engine_factory


@dataclass(frozen=True)
class Answer:
    """What one request gave."""

    ids: tuple[int, ...]
    emissions: tuple[Emission, ...]
    finish: Finish


def pair(target: Path | str, drafter: Drafter | None = None, **engine_args: EngineArg) -> Pair:
    return Pair("pair", "transformers", str(target), drafter, {"threads": 1, **engine_args})


def drafter(method: DrafterMethod, model: Path | str | None = None, draft_length: int = 3) -> Drafter:
    return Drafter(method, None if model is None else str(model), draft_length)


def run(measured: Pair, requests: Sequence[tuple[Sequence[int], Sampling]]) -> tuple[EngineInfo, list[Answer]]:
    """Start an engine, send the requests one after the other, and stop it."""

    async def session() -> tuple[EngineInfo, list[Answer]]:
        engine = engine_factory(measured.engine).create(measured)
        try:
            info = await engine.start()
            answers = []
            for number, (prompt, sampling) in enumerate(requests):
                request = Request(f"request-{number}", tuple(prompt), sampling)
                answers.append(_answer([item async for item in engine.generate(request)]))
            return info, answers
        finally:
            await engine.stop()

    return asyncio.run(session())


def _answer(items: list[Emission | Finish]) -> Answer:
    *emissions, finish = items
    assert isinstance(finish, Finish)
    checked = tuple(item for item in emissions if isinstance(item, Emission))
    assert len(checked) == len(emissions), "one Finish, at the end"
    return Answer(tuple(token for emission in checked for token in emission.token_ids), checked, finish)
