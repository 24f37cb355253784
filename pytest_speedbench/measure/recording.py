"""Keeps what a target put out while a run is measured, and asks afterwards how it would have gone on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime, timezone

from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import Emission, Engine, EngineInfo, Finish, Prints, Request, StatesMargins
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import Outputs, OutputsHead, StoredOutput
from pytest_speedbench.splits.schema import Split


class Witness:
    """An engine that answers as another one does and keeps what passed: prompts, outputs, how they ended."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seen: dict[tuple[int, ...], tuple[tuple[int, ...], bool]] = {}

    async def start(self) -> EngineInfo:
        """Start the engine behind it."""
        return await self._engine.start()

    async def stop(self) -> None:
        """Stop the engine behind it."""
        await self._engine.stop()

    def output(self) -> str:
        """What the engine printed last."""
        return self._engine.output() if isinstance(self._engine, Prints) else ""

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Decode a request, and keep it once it is finished."""
        output: list[int] = []
        async with aclosing(self._engine.generate(request)) as events:
            async for event in events:
                if isinstance(event, Emission):
                    output += event.token_ids
                else:
                    self.seen[request.prompt_ids] = (tuple(output), event.reason == "stop")
                yield event


def check_recordable(sampling: Sampling, info: EngineInfo) -> None:
    """Refuse what cannot be replayed.

    Raises:
        OutputsError: sampled outputs, or prompts that the engine renders itself.
    """
    if not sampling.greedy:
        raise OutputsError("Sampled outputs cannot be recorded for replay.", "Measure at temperature 0.")
    if info.templates_prompts:
        raise OutputsError(
            f"The engine {info.name} renders prompts itself, so what its target read is not known.",
            "Record with an engine that takes token ids.",
        )


async def stored_outputs(
    engine: Engine,
    info: EngineInfo,
    seen: Mapping[tuple[int, ...], tuple[tuple[int, ...], bool]],
    overhang: int,
    concurrency: int,
) -> tuple[StoredOutput, ...]:
    """Have every output continued past its end, and ask how sure the target was of it if the engine can say.

    Args:
        engine: a started engine.
        info: what it said at its start.
        seen: output ids and whether they ended with a sequence's end, by prompt.
        overhang: tokens past the end.
        concurrency: requests at a time.

    Raises:
        EngineError: the engine failed.
        OutputsError: it did not go on.
    """
    free = asyncio.Semaphore(concurrency)

    async def one(number: int, prompt: tuple[int, ...], output: tuple[int, ...], stopped: bool) -> StoredOutput:
        async with free:
            most = min(overhang, info.context_tokens - len(prompt) - len(output))
            further = await _continued(engine, f"overhang/{number}", prompt + output, most) if most > 0 else ()
            margins = await engine.margins_nats(prompt, output) if isinstance(engine, StatesMargins) else None
            return StoredOutput(prompt, output, further, stopped, margins)

    rows = [one(number, prompt, *seen[prompt]) for number, prompt in enumerate(seen)]
    return tuple(await asyncio.gather(*rows))


def outputs_of(
    pair: Pair,
    info: EngineInfo,
    models: ModelIdentity,
    split: Split,
    sampling: Sampling,
    overhang: int,
    rows: tuple[StoredOutput, ...],
) -> Outputs:
    """The rows with what they are of."""
    dtype = info.args.get("dtype")
    return Outputs(
        OutputsHead(
            pair=pair.name,
            target=pair.model,
            target_sha256=models.target_sha256,
            tokenizer_sha256=models.tokenizer_sha256,
            chat_template_sha256=models.chat_template_sha256,
            split=split.name,
            split_sha256=split.sha256,
            max_output_tokens=sampling.max_output_tokens,
            ignore_eos=sampling.ignore_eos,
            engine=info.name,
            engine_version=info.version,
            dtype=dtype if isinstance(dtype, str) else None,
            vocab_size=info.vocab_size,
            context_tokens=info.context_tokens,
            eos_token_ids=info.eos_token_ids,
            overhang=overhang,
            date=datetime.now(timezone.utc).date().isoformat(),
        ),
        rows,
    )


async def _continued(engine: Engine, request_id: str, prompt: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    sampling = Sampling(tokens, ignore_eos=True)
    output: list[int] = []
    async with aclosing(engine.generate(Request(request_id, prompt, sampling))) as events:
        async for event in events:
            if isinstance(event, Emission):
                output += event.token_ids
    if len(output) != tokens:
        raise OutputsError(
            f"The engine gave {len(output)} tokens past an output's end, and {tokens} were asked.",
            "Record the outputs with an engine that goes on past an end-of-sequence token.",
        )
    return tuple(output)
