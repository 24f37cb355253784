"""The trtllm engine as a user gets it: by name, in a process of its own, over the stand-in for TensorRT-LLM."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines import installed
from pytest_speedbench.engines.base import CountsSpeculation, EngineInfo, Finish, ReadsBack, Request
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.trtllm import gpu
from pytest_speedbench.errors import EngineError, UnsupportedError
from tests.contracts.trtllm_stand_in import FAKES, PROMPT, greedy


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    metadata = tmp_path / "tensorrt_llm-1.2.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: tensorrt_llm\nVersion: 1.2.1\n")
    path = [FAKES, FAKES.parent / "fakes_gpu", tmp_path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, path)))
    monkeypatch.setenv("FAKE_TENSORRT_LLM_SCRIPT", '{"accepted": [2, 0, 3, 1], "metrics": true}')
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path,))
    monkeypatch.setattr(gpu, "GPU_FOLDER", tmp_path / "none")
    installed.installed.cache_clear()


def pair(**args: EngineArg) -> Pair:
    return Pair("p", "trtllm", "bundled:target", Drafter.parse("mtp"), args)


def test_it_starts_answers_counts_and_stops() -> None:
    async def session() -> tuple[EngineInfo, Finish]:
        engine = engine_factory("trtllm").create(pair())
        try:
            info = await engine.start()
            *_, finish = [item async for item in engine.generate(Request("r", PROMPT, greedy(20)))]
            assert isinstance(engine, ReadsBack)
            assert await engine.prompt_as_read(PROMPT) == PROMPT
            assert isinstance(engine, CountsSpeculation)
            counted = await engine.counters()
            assert counted is not None
            assert (counted.verify_steps, counted.accepted_in_all) == (8, 12)
            assert isinstance(finish, Finish)
            return info, finish
        finally:
            await engine.stop()

    info, finish = asyncio.run(session())
    assert (info.name, info.device, info.driver) == ("trtllm", "A GPU", "CUDA 13.0")
    assert finish.acceptance == AcceptanceRecord(3, (2, 2, 2, 2), 24, 0, 1)


def test_what_it_refuses_comes_back_in_words() -> None:
    async def session(measured: Pair, sampling: Sampling) -> None:
        engine = engine_factory("trtllm").create(measured)
        try:
            await engine.start()
            async for _ in engine.generate(Request("r", PROMPT, sampling)):
                pass
        finally:
            await engine.stop()

    with pytest.raises(EngineError, match=r"The engine trtllm does not start: .*no engine argument 'max_batch_sise'"):
        asyncio.run(session(pair(max_batch_sise=3), greedy()))
    with pytest.raises(UnsupportedError, match="does not sample this pair"):
        asyncio.run(session(pair(), Sampling(8, temperature=1.0)))
