"""Pairs of the bundled family on SGLang and on transformers, and what a few prompts get from them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import Emission, Engine, Finish, Request
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.registry import engine_factory

CATEGORIES = ("coding", "math", "multilingual", "rag", "summarization", "writing")
"""The first prompt of each: the interpreter is slow."""
OUTPUT_TOKENS = 24

_ON_A_CPU: dict[str, EngineArg] = {
    "device": "cpu",
    "dtype": "float32",
    "mem_fraction_static": 0.5,
    "max_total_tokens": 4096,
    "max_running_requests": 4,
    "disable_cuda_graph": True,
    "sampling_backend": "pytorch",
}
_PLAIN: dict[str, EngineArg] = {"attention_backend": "torch_native"}
_SPECULATIVE: dict[str, EngineArg] = {"attention_backend": "triton", "disable_overlap_schedule": True}


@dataclass(frozen=True)
class Answer:
    """What one request gave: its tokens, how many came together, and its end."""

    tokens: tuple[int, ...]
    emitted: tuple[int, ...]
    finish: Finish

    @property
    def record(self) -> AcceptanceRecord:
        """Its acceptance, which must be there."""
        assert self.finish.acceptance is not None
        return self.finish.acceptance


def on_a_cpu(setenv: Callable[[str, str], None]) -> None:
    """Set what SGLang reads from the environment. Its kernels run through Triton's interpreter."""
    for name, value in {
        "SGLANG_USE_CPU_ENGINE": "0",
        "TRITON_INTERPRET": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }.items():
        setenv(name, value)


def sglang_pair(
    drafter: str | None, python: str, engine_args: Mapping[str, EngineArg] | None = None, *, engine: str = "sglang"
) -> Pair:
    """A pair of the bundled family on SGLang in float32, whose greedy output is deterministic."""
    return Pair(
        name=f"{engine}-{drafter}",
        engine=engine,
        model="bundled:target",
        drafter=Drafter.parse(drafter) if drafter else None,
        engine_args={**_ON_A_CPU, **(_SPECULATIVE if drafter else _PLAIN), **(engine_args or {})},
        python=python,
    )


def transformers_pair(drafter: str | None) -> Pair:
    """The same on the transformers engine, which vLLM agrees with in every prompt."""
    args: dict[str, EngineArg] = {"device": "cpu", "dtype": "float32", "threads": 1}
    parsed = Drafter.parse(drafter) if drafter else None
    return Pair(f"transformers-{drafter}", "transformers", "bundled:target", parsed, args)


@lru_cache
def prompts() -> dict[str, tuple[int, ...]]:
    """The first prompt of each category, by category."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BUNDLED_FOLDER / "target")
    lines = (BUNDLED_FOLDER.parent / "splits" / "bundled" / "mini.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, tuple[int, ...]] = {}
    for row in map(json.loads, lines):
        if row["category"] in CATEGORIES and row["category"] not in found:
            turn = [{"role": "user", "content": row["turns"][0]}]
            text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
            found[row["category"]] = tuple(tokenizer.encode(text, add_special_tokens=False))
    return found


async def ask(engine: Engine, prompt: Sequence[int], output_tokens: int = OUTPUT_TOKENS) -> Answer:
    """One greedy request."""
    request = Request("asked", tuple(prompt), Sampling(output_tokens))
    items = [item async for item in engine.generate(request)]
    *emissions, finish = items
    assert isinstance(finish, Finish)
    sizes = [item.token_ids for item in emissions if isinstance(item, Emission)]
    assert len(sizes) == len(emissions), "one Finish, at the end"
    return Answer(tuple(token for ids in sizes for token in ids), tuple(map(len, sizes)), finish)


def ask_all(pair: Pair, output_tokens: int = OUTPUT_TOKENS, concurrency: int = 1) -> dict[str, Answer]:
    """Start an engine, ask every prompt, and stop it."""

    async def session() -> dict[str, Answer]:
        engine = engine_factory(pair.engine).create(pair)
        places = asyncio.Semaphore(concurrency)

        async def one(prompt: tuple[int, ...]) -> Answer:
            async with places:
                return await ask(engine, prompt, output_tokens)

        try:
            await engine.start()
            answers = await asyncio.gather(*map(one, prompts().values()))
            return dict(zip(prompts(), answers, strict=True))
        finally:
            await engine.stop()

    return asyncio.run(session())
