"""Keeps what a target put out while a run is measured, and asks afterwards how it would have gone on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import (
    Emission,
    Engine,
    EngineInfo,
    Finish,
    Prints,
    Request,
    StatesLogProbabilities,
    StatesMargins,
)
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.measure.arrivals import Arrivals
from pytest_speedbench.measure.run import computed_in
from pytest_speedbench.outputs import Outputs, OutputsHead, StoredOutput
from pytest_speedbench.splits.schema import Split


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was answered: what was asked, the output's ids, whether a sequence's end ended it."""

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    stopped: bool
    sampling: Sampling


class Witness:
    """An engine that answers as another one does and keeps what passed: prompts, outputs, how they ended."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[tuple[tuple[int, ...], int | None], Seen] = {}

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request once: a prompt that was asked twice has two outputs only where they were sampled."""
        return tuple(self._seen.values())

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
        prompt, sampling = request.prompt_ids, request.sampling
        async with aclosing(self._engine.generate(request)) as events:
            async for event in events:
                if isinstance(event, Emission):
                    output += event.token_ids
                else:
                    seed = None if sampling.greedy else sampling.seed
                    self._seen[prompt, seed] = Seen(prompt, tuple(output), event.reason == "stop", sampling)
                yield event


def check_recordable(info: EngineInfo) -> None:
    """Refuse what cannot be replayed.

    Raises:
        OutputsError: the engine renders prompts itself.
    """
    if info.templates_prompts:
        raise OutputsError(
            f"The engine {info.name} renders prompts itself, so what its target read is not known.",
            "Record with an engine that takes token ids.",
        )


async def stored_outputs(
    engine: Engine, info: EngineInfo, seen: Sequence[Seen], overhang: int, concurrency: int
) -> tuple[StoredOutput, ...]:
    """Have every output continued past its end, and ask how sure the target was of it if the engine can say.

    A sampled output is continued with other draws than the run's own: any continuation is as good as another.

    Args:
        engine: a started engine.
        info: what it said at its start.
        seen: the requests.
        overhang: tokens past the end.
        concurrency: requests at a time.

    Raises:
        EngineError: the engine failed.
        OutputsError: it did not go on.
    """
    free = asyncio.Semaphore(concurrency)

    async def one(number: int, asked: Seen) -> StoredOutput:
        prompt, output = asked.prompt_ids, asked.output_ids
        async with free:
            most = min(overhang, info.context_tokens - len(prompt) - len(output))
            sampling = replace(
                asked.sampling, max_output_tokens=most, ignore_eos=True, seed=_next_seed(asked.sampling.seed)
            )
            request = Request(f"overhang/{number}", prompt + output, sampling)
            further = await _continued(engine, info, request) if most > 0 else ()
            if asked.sampling.greedy:
                margins = await engine.margins_nats(prompt, output) if isinstance(engine, StatesMargins) else None
                return StoredOutput(prompt, output, further, asked.stopped, margins)
            likely = None
            if isinstance(engine, StatesLogProbabilities):
                likely = await engine.log_probabilities_nats(prompt, output + further, asked.sampling)
            return StoredOutput(prompt, output, further, asked.stopped, None, asked.sampling.seed, likely)

    return tuple(await asyncio.gather(*(one(number, asked) for number, asked in enumerate(seen))))


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
            dtype=computed_in(pair, info),
            vocab_size=info.vocab_size,
            context_tokens=info.context_tokens,
            eos_token_ids=info.eos_token_ids,
            overhang=overhang,
            date=datetime.now(timezone.utc).date().isoformat(),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
        ),
        rows,
    )


async def _continued(engine: Engine, info: EngineInfo, request: Request) -> tuple[int, ...]:
    tokens = request.sampling.max_output_tokens
    arrivals = Arrivals(info.name, request, info.vocab_size)
    async with aclosing(engine.generate(request)) as events:
        async for event in events:
            arrivals.add(event)
    output = arrivals.output
    if len(output) != tokens:
        raise OutputsError(
            f"The engine gave {len(output)} tokens past an output's end, and {tokens} were asked.",
            "Record the outputs with an engine that goes on past an end-of-sequence token.",
        )
    return tuple(output)


def _next_seed(seed: int) -> int:
    """Another seed within the 32 bits that every engine takes: the run's own would repeat its first draws."""
    return (seed + 1) % 2**32
