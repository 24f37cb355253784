"""Real vLLM with the oracle as its drafter: recorded once, then measured under many settings with one start."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oracle.proposer import FOLDER_KEY, SETTINGS, TABLE
from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Load, Pair, Sampling
from pytest_speedbench.engines.base import Emission, Engine, EngineInfo, Finish, Request
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.worker.client import WorkerEngine
from pytest_speedbench.measure.driver import measure
from pytest_speedbench.measure.prompts import TemplateEncoder

if TYPE_CHECKING:
    from pytest_speedbench.measure.run import Conversation
    from pytest_speedbench.splits.schema import Split

TARGET = "bundled:target"
DRAFT_LENGTH = 3
_ADAPTER = "pytest_speedbench.engines.vllm.engine:VllmEngine"
_ORACLE = "oracle.vllm_engine:OracleEngine"
_OVERHANG_TOKENS = 2 * DRAFT_LENGTH + 2
"""Recorded past the output limit, where the last step still verifies drafts and one more draft is made."""
_SILENCE_S = 120.0


def record(folder: Path, python: str, split: Split, sampling: Sampling, load: Load) -> tuple[Conversation, ...]:
    """Decode the split without a drafter and write every request's continuation for the oracle."""
    pair = _pair(python, drafter=None, extra={})
    engine = _Recorder(WorkerEngine(pair, _ADAPTER))
    conversations = asyncio.run(_measured(engine, split, sampling, load))
    folder.mkdir(parents=True, exist_ok=True)
    categories = {prompt.question_id: prompt.category for prompt in split.prompts}
    rows = [{**row, "category": categories[row.pop("question_id")]} for row in engine.rows]
    (folder / TABLE).write_text(json.dumps(rows))
    return conversations


class OracleVllm:
    """vLLM with the oracle, started by ``start`` and asked again and again."""

    def __init__(self, folder: Path, python: str, extra: Mapping[str, EngineArg]) -> None:
        drafter = Drafter(DrafterMethod.NGRAM, draft_length=DRAFT_LENGTH)
        oracle: dict[str, EngineArg] = {"additional_config": {FOLDER_KEY: str(folder)}}
        self._folder = folder
        self._engine = WorkerEngine(_pair(python, drafter, {**oracle, **extra}), _ORACLE)
        self._encoder = TemplateEncoder.load(open_checkpoint(TARGET, download=True).folder)
        self._info: EngineInfo | None = None

    async def start(self) -> EngineInfo:
        """Start vLLM; about half a minute."""
        self.use(0, {})
        self._info = await self._engine.start()
        return self._info

    def use(self, seed: int, correct: Mapping[str, float]) -> None:
        """From now on, each drafted token of a category is the target's own with that probability."""
        fresh = self._folder / f"{SETTINGS}.new"
        fresh.write_text(json.dumps({"seed": seed, "correct": dict(correct)}))
        fresh.replace(self._folder / SETTINGS)

    async def measure(self, split: Split, sampling: Sampling, load: Load) -> tuple[Conversation, ...]:
        """One run."""
        if self._info is None:
            raise RuntimeError("vLLM was asked before it was started")
        return await measure(
            self._engine, self._info, self._encoder, split.prompts, sampling, load, silence_s=_SILENCE_S
        )

    async def stop(self) -> None:
        """Stop vLLM."""
        await self._engine.stop()


class _Recorder:
    """An engine that lets each request run on past its end, keeps that, and hands out what should have come."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self._eos: tuple[int, ...] = ()
        self.rows: list[dict[str, Any]] = []

    async def start(self) -> EngineInfo:
        info = await self._inner.start()
        self._eos = info.eos_token_ids
        return info

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        limit = request.sampling.max_output_tokens
        onwards = replace(request.sampling, max_output_tokens=limit + _OVERHANG_TOKENS, ignore_eos=True)
        tokens: list[int] = []
        async with aclosing(self._inner.generate(replace(request, sampling=onwards))) as stream:
            async for event in stream:
                if isinstance(event, Emission):
                    tokens.extend(event.token_ids)
        question_id = request.request_id.rpartition("/")[0]
        self.rows.append(
            {"question_id": question_id, "prompt_ids": list(request.prompt_ids), "continuation_ids": tokens}
        )
        ends = [index for index, token in enumerate(tokens[:limit]) if token in self._eos]
        yield Emission(tuple(tokens[: ends[0] + 1] if ends else tokens[:limit]), time.perf_counter())
        yield Finish("stop" if ends else "length", None)

    async def stop(self) -> None:
        await self._inner.stop()


async def _measured(engine: Engine, split: Split, sampling: Sampling, load: Load) -> tuple[Conversation, ...]:
    encoder = TemplateEncoder.load(open_checkpoint(TARGET, download=True).folder)
    try:
        info = await engine.start()
        return await measure(engine, info, encoder, split.prompts, sampling, load, silence_s=_SILENCE_S)
    finally:
        await engine.stop()


def _pair(python: str, drafter: Drafter | None, extra: Mapping[str, EngineArg]) -> Pair:
    find_modules_here()
    args: dict[str, EngineArg] = {"dtype": "float32", "enforce_eager": True, **extra}
    return Pair("oracle", "vllm", TARGET, drafter, args, python)


def find_modules_here() -> None:
    """Let engines' processes, started from now on, import what is in the benchmarks' folder."""
    paths = [str(Path(__file__).resolve().parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
