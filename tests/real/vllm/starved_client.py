"""Counts chunks beside the engine's own record, with an event loop that is kept busy or is not.

Run by the interpreter that has vLLM: ``python -m tests.real.vllm.starved_client OUT.json``. What the adapter yields and
what vLLM's stream yields are taken from the very same requests. Prints acceptance lengths by both.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, Pair, Sampling
from pytest_speedbench.engines.base import Emission, Request
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.vllm.engine import VllmEngine
from pytest_speedbench.measure.prompts import TemplateEncoder, dialogue
from pytest_speedbench.splits import load_split, select
from tests.real.vllm.chunks import chunk_al, engine_al, largest_chunk

PAIR = Pair(
    "chunks",
    "vllm",
    "bundled:target",
    Drafter.parse("eagle3:bundled:eagle3"),
    # No prefill is cut: counts would depend on what else was in the batch.
    {"dtype": "float32", "enforce_eager": True, "max_num_batched_tokens": 16384},
)
PROMPTS = 66
BUSY_S = 0.05
"""How long a busy client keeps the event loop from reading: ten steps of an engine of this size."""


class Recorded:
    """vLLM's own stream, its chunks counted as they pass."""

    def __init__(self, llm: Any) -> None:
        self._generate = llm.generate
        self.chunks: dict[str, list[int]] = {}
        llm.generate = self.generate

    async def generate(self, prompt: Any, params: Any, request_id: str) -> AsyncGenerator[Any, None]:
        sizes = self.chunks.setdefault(request_id.partition("#")[0], [])
        async for output in self._generate(prompt, params, request_id):
            sizes.append(len(output.outputs[0].token_ids))
            yield output


async def keep_busy(until: asyncio.Event) -> None:
    while not until.is_set():
        time.sleep(BUSY_S)  # noqa: ASYNC251 - this is what a busy client does
        await asyncio.sleep(0)


async def ask(engine: VllmEngine, request: Request) -> tuple[list[int], AcceptanceRecord]:
    emissions: list[int] = []
    async for event in engine.generate(request):
        if isinstance(event, Emission):
            emissions.append(len(event.token_ids))
        elif event.acceptance is not None:
            return emissions, event.acceptance
    raise AssertionError(f"{request.request_id} has no record")


async def measure(engine: VllmEngine, recorded: Recorded, concurrency: int, *, busy: bool) -> dict[str, Any]:
    encoder = TemplateEncoder.load(open_checkpoint("bundled:target", download=False).folder)  # type: ignore[union-attr]
    prompts = select(load_split("mini"), None, PROMPTS).prompts
    requests = [Request(p.question_id, encoder.encode(dialogue(p.turns[:1], ())), Sampling(64)) for p in prompts]
    recorded.chunks.clear()
    free = asyncio.Semaphore(concurrency)

    async def one(request: Request) -> tuple[list[int], AcceptanceRecord]:
        async with free:
            return await ask(engine, request)

    done = asyncio.Event()
    busy_task = asyncio.create_task(keep_busy(done)) if busy else None
    answers = await asyncio.gather(*(one(request) for request in requests))
    done.set()
    if busy_task is not None:
        await busy_task
    return {
        "concurrency": concurrency,
        "busy": busy,
        "requests": {
            request.request_id: {
                "chunks": recorded.chunks[request.request_id],
                "emissions": emissions,
                "histogram": record.histogram,
                "undrafted_steps": record.undrafted_steps,
                "discarded_tokens": record.discarded_tokens,
            }
            for request, (emissions, record) in zip(requests, answers, strict=True)
        },
    }


async def main() -> list[dict[str, Any]]:
    engine = VllmEngine(PAIR)
    await engine.start()
    recorded = Recorded(engine._llm)
    runs = [
        await measure(engine, recorded, concurrency, busy=busy) for busy in (False, True) for concurrency in (1, 8, 64)
    ]
    await engine.stop()
    return runs


if __name__ == "__main__":
    measured = asyncio.run(main())
    Path(sys.argv[1]).write_text(json.dumps(measured), encoding="utf-8")
    for run in measured:
        asked = run["requests"]
        sys.stdout.write(
            f"{'busy' if run['busy'] else 'quiet'} client, concurrency {run['concurrency']}: engine "
            f"{engine_al(asked):.3f}, chunks {chunk_al(asked, prefill=False):.3f}, with the prefill's "
            f"{chunk_al(asked, prefill=True):.3f}, largest chunk {largest_chunk(asked)}\n"
        )
