"""Measures a split with vLLM in this process and writes which token ids vLLM says it read.

Run by the interpreter that has vLLM: ``python -m tests.real.vllm.seen_ids OUT.json``. The file has ``seen``, the ids of
each request's prompt, and ``hashes``, what the measurement recorded of every turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from pytest_speedbench.config import Load, Pair, Sampling
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.vllm.engine import VllmEngine
from pytest_speedbench.measure.driver import measure
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.splits import load_split

PAIR = Pair("seen", "vllm", "bundled:target", None, {"dtype": "float32", "enforce_eager": True})


async def main() -> dict[str, Any]:
    engine = VllmEngine(PAIR)
    info = await engine.start()
    llm: Any = engine._llm
    generate = llm.generate
    seen: dict[str, list[int]] = {}

    async def noted(prompt: Any, params: Any, request_id: str) -> AsyncGenerator[Any, None]:
        async for output in generate(prompt, params, request_id):
            seen[request_id.partition("#")[0]] = list(output.prompt_token_ids)
            yield output

    llm.generate = noted
    try:
        encoder = TemplateEncoder.load(BUNDLED_FOLDER / "target")
        found = await measure(engine, info, encoder, load_split("mini").prompts, Sampling(4), Load(16))
    finally:
        await engine.stop()
    return {"seen": seen, "hashes": {c.question_id: [turn.prompt_sha256 for turn in c.turns] for c in found}}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asyncio.run(main())), encoding="utf-8")
