"""SGLang's OpenAI routes, asked by the engine for any such server: its answers and its counts."""

from __future__ import annotations

import asyncio

from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.engines.openai.engine import OpenAIEngine
from pytest_speedbench.engines.registry import engine_factory
from tests.real.sglang.asking import Answer, ask, prompts, transformers_pair

CATEGORIES = ("coding", "math")
OUTPUT_TOKENS = 16
DRAFTER = "draft_model:bundled:draft"
COMMAND = (
    "{python} -m sglang.launch_server --model-path {model} --host 127.0.0.1 --port {port} --device cpu"
    " --dtype float32 --mem-fraction-static 0.5 --max-total-tokens 4096 --max-running-requests 4 --disable-cuda-graph"
    " --sampling-backend pytorch --attention-backend triton --disable-overlap-schedule --disable-radix-cache"
    " --log-level warning --speculative-algorithm STANDALONE --speculative-draft-model-path {drafter}"
    " --speculative-num-steps {draft_length} --speculative-eagle-topk 1 --speculative-num-draft-tokens 4"
)


def test_tokens_and_records_equal_those_of_transformers(sglang_python: str) -> None:
    command = COMMAND.replace("{python}", sglang_python)
    served = Pair("served", "openai", "bundled:target", Drafter.parse(DRAFTER, 3), command=command)

    async def session() -> dict[str, Answer]:
        engine = OpenAIEngine(served)
        try:
            info = await engine.start()
            assert info.version.startswith("SGLang 0.5.")
            assert info.args["output_ids"] == "token_ids"
            assert await engine.prompt_as_read((5, 6, 7)) == (5, 6, 7)
            assert await engine.counters() is None
            return {name: await ask(engine, prompts()[name], OUTPUT_TOKENS) for name in CATEGORIES}
        finally:
            await engine.stop()

    answers = asyncio.run(session())
    assert answers == asyncio.run(_known())


async def _known() -> dict[str, Answer]:
    engine = engine_factory("transformers").create(transformers_pair(DRAFTER))
    try:
        await engine.start()
        return {name: await ask(engine, prompts()[name], OUTPUT_TOKENS) for name in CATEGORIES}
    finally:
        await engine.stop()
