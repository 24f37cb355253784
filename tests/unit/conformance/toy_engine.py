"""A correct engine in microseconds.

Its target is a language model made of hashes: what may follow depends on every id before it, in order. Its drafter
guesses the most probable next token and is right most of the time. Sampling draws every token from the target itself
and takes a draft token where it equals the draw, so that speculation changes nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
import zlib
from array import array
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, FinishReason, Request, SpeculationCounters
from pytest_speedbench.errors import EngineError

VOCABULARY = 4096
CONTEXT = 512
EOS = 3
_CANDIDATES = 6
_GUESSES_RIGHT = 0.7
_END_EVERY = 30
Ids = tuple[int, ...]
Stream = AsyncGenerator[Emission | Finish, None]


class ToyEngine:
    """Keeps every promise, if asked ``at_once`` requests at most."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.counted = SpeculationCounters(0, 0, (0,) * (pair.drafter.draft_length if pair.drafter else 0))

    async def start(self) -> EngineInfo:
        return EngineInfo(
            name=self.pair.engine,
            version="1.0",
            args={"dtype": "float32"},
            device="none",
            device_count=1,
            driver=None,
            max_concurrency=4,
            vocab_size=VOCABULARY,
            context_tokens=CONTEXT,
            eos_token_ids=(EOS,),
        )

    async def generate(self, request: Request) -> Stream:
        self.check(request)
        answer = Decoding(self.read(request.prompt_ids), request.sampling, self)
        for step in answer.steps():
            await asyncio.sleep(0)
            yield Emission(step, self.now())
        yield Finish(answer.reason, self.record(answer))

    async def next_tokens(self, prompt_ids: Ids, count: int) -> tuple[tuple[int, float], ...]:
        weights = likely(self.read(prompt_ids))
        return tuple((token, math.log(weight)) for token, weight in weights)[:count]

    async def prompt_as_read(self, prompt_ids: Ids) -> Ids | None:
        return self.read(prompt_ids)

    async def counters(self) -> SpeculationCounters | None:
        return self.counted

    async def stop(self) -> None:
        pass

    def check(self, request: Request) -> None:
        if not request.prompt_ids or len(request.prompt_ids) + request.sampling.max_output_tokens > CONTEXT:
            raise EngineError(f"A prompt of {len(request.prompt_ids)} tokens does not fit.", "Ask something else.")
        if max(request.prompt_ids) >= VOCABULARY:
            raise EngineError("There is no such token.", "Ask something else.")

    def read(self, prompt_ids: Ids) -> Ids:
        return prompt_ids

    def now(self) -> float:
        return time.perf_counter()

    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:  # noqa: ARG002
        """The next token."""
        weights = likely(ids)
        if sampling.greedy:
            return weights[0][0]
        heated = [weight ** (1 / sampling.temperature) for _, weight in weights]
        return draws.choices([token for token, _ in weights], heated)[0]

    def record(self, answer: Decoding) -> AcceptanceRecord | None:
        if self.pair.drafter is None:
            return None
        length = self.pair.drafter.draft_length
        record = AcceptanceRecord.from_steps(
            answer.verified, draft_length=length, discarded_tokens=answer.discarded_tokens
        )
        old = self.counted
        accepted = tuple(
            count + sum(step.accepted_tokens > place for step in answer.verified)
            for place, count in enumerate(old.accepted_per_position or ())
        )
        proposed = (old.proposed_tokens or 0) + (record.proposed_tokens or 0)
        self.counted = SpeculationCounters(old.verify_steps + record.verify_steps, proposed, accepted)
        return record


@dataclass
class Decoding:
    """One request; ``steps`` yields what each step emits, the prefill's first."""

    ids: Ids
    sampling: Sampling
    engine: ToyEngine

    def __post_init__(self) -> None:
        self.verified: list[VerifyStep] = []
        self.discarded_tokens = 0
        self.reason: FinishReason = "length"
        self._draws = random.Random(f"{self.sampling.seed} {zlib.crc32(array('l', self.ids).tobytes())}")

    def steps(self) -> list[Ids]:
        emitted = [self._kept((self._next(self.ids, first=True),), 0)]
        ids, done = self.ids + emitted[0], 1
        while self.reason != "stop" and done < self.sampling.max_output_tokens:
            kept = self._kept(self._step(ids), done)
            emitted.append(kept)
            ids, done = ids + kept, done + len(kept)
        return emitted

    def _step(self, ids: Ids) -> Ids:
        """A verify step: the drafts that equal the draws, and one token more."""
        length = self.engine.pair.drafter.draft_length if self.engine.pair.drafter else 0
        tokens: Ids = ()
        while len(tokens) <= length:
            tokens += (self._next(ids + tokens, first=False),)
            if tokens[-1] != guess(ids + tokens[:-1]):
                break
        if length:
            self.verified.append(VerifyStep(length, len(tokens) - 1))
        return tokens

    def _next(self, ids: Ids, *, first: bool) -> int:
        return self.engine.choose(ids, self.sampling, self._draws, first=first)

    def _kept(self, tokens: Ids, done: int) -> Ids:
        kept = tokens[: self.sampling.max_output_tokens - done]
        if EOS in kept and not self.sampling.ignore_eos:
            kept = kept[: kept.index(EOS) + 1]
            self.reason = "stop"
        self.discarded_tokens += len(tokens) - len(kept)
        return kept


def likely(ids: Ids) -> list[tuple[int, float]]:
    """What may follow, most probable first, with its probability."""
    code = zlib.crc32(array("l", ids).tobytes())
    draw = random.Random(code)
    tokens = [EOS if code % _END_EVERY == 0 else draw.randrange(10, VOCABULARY)]
    tokens += [draw.randrange(10, VOCABULARY) for _ in range(_CANDIDATES - 1)]
    weights = sorted((draw.random() ** 4 + 0.01 for _ in tokens), reverse=True)
    return [(token, weight / sum(weights)) for token, weight in zip(tokens, weights, strict=True)]


def guess(ids: Ids) -> int:
    """The drafter's next token."""
    code = zlib.crc32(array("l", ids).tobytes(), 1)
    return likely(ids)[0][0] if random.Random(code).random() < _GUESSES_RIGHT else 0


@dataclass(frozen=True)
class ToyFactory:
    """Makes one of these engines."""

    kind: type[ToyEngine]

    def check(self, pair: Pair) -> None:
        pass

    def create(self, pair: Pair) -> ToyEngine:
        return self.kind(pair)
