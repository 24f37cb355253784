"""An engine that answers at once, for tests of everything around engines.

It is a complete third-party engine: announced by an entry point, started, given token ids, read as timed emissions with
acceptance records that obey every identity. What it "decodes" follows from the prompt alone, so a drafter never changes
its output; how much it "accepts" is set by the pair's engine arguments:

    accept      chance that a draft token is accepted (default 0.6)
    weak        a category that is accepted at ``weak_accept`` instead; the category is read off the request's id
    jitter      share of the calls whose steps are drawn anew, so that runs differ as a noisy engine's do
    lossy       a request id whose output differs when there is a drafter
    other_target  so many of the first requests are answered as another target would, from the first token on
    unsteady    share of the calls whose output ends in another token, as rounding makes it do
    margin      by how much, in nats, the target prefers its own token there; without it the engine cannot say
    silent      give no acceptance record: "records", or "steps" to emit the decoded tokens all together as well
    start_s     seconds that the start takes
    preempted   say that every request was preempted so often
    ends        number of prompts, of those whose id ends in a smaller one, whose output is an end of sequence only
    stepless    number of prompts, of those whose id ends in a smaller one, whose record has no step
    fail_at     number of the request at which the engine fails
    slow_s      seconds per token
    end         the id that ends a sequence, by its own account (default 0)
    context     the longest sequence it takes, at most 4096 tokens
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncGenerator

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.told import Told
from pytest_speedbench.errors import EngineError

VOCABULARY = 256
CONTEXT_TOKENS = 4096
TOLD = Told("dtype", "tp_size", "context", reads=("python", "endpoint", "command"))


def check(pair: Pair) -> None:
    """Refuse what the tests want refused."""
    if pair.engine_args.get("refuse"):
        raise EngineError("The scripted engine was told to refuse.", "Tell it otherwise.")


def create(pair: Pair) -> ScriptedEngine:
    """Make one."""
    return ScriptedEngine(pair)


class ScriptedEngine:
    """See the module's docstring."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._requests = 0
        self.cancelled: list[str] = []
        self._texts: list[tuple[int, ...]] = []
        self.running = 0
        self.most_running = 0
        self.stopped = 0

    async def start(self) -> EngineInfo:
        if self._pair.engine_args.get("fail_start"):
            raise EngineError("The scripted engine cannot start.", "Ask it nicely.")
        await asyncio.sleep(self._number("start_s"))
        return EngineInfo(
            name="scripted",
            version="1.0",
            args=dict(self._pair.engine_args),
            device="imagination",
            device_count=1,
            driver=None,
            max_concurrency=None,
            vocab_size=VOCABULARY,
            context_tokens=min(CONTEXT_TOKENS, int(self._number("context", CONTEXT_TOKENS))),
            eos_token_ids=(int(self._number("end")),),
        )

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        self._requests += 1
        if self._requests == self._pair.engine_args.get("fail_at"):
            raise EngineError("The scripted engine broke down.", "Repair it.")
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async for event in self._decode(request):
                yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled.append(request.request_id)
            raise
        finally:
            self.running -= 1

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        if "margin" not in self._pair.engine_args:
            return ()
        known = next(text for text in self._texts if text[: len(prompt_ids)] == prompt_ids)
        own = known[len(prompt_ids)]
        return ((own, -0.5), (32, -0.5 - self._number("margin")))[:count]

    async def stop(self) -> None:
        self.stopped += 1

    async def _decode(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        output = self._output(request)
        self._texts.append(request.prompt_ids + output)
        steps: list[VerifyStep] = []
        number = request.request_id.partition("/")[0].rpartition("-")[2]
        if number.isdigit() and int(number) < self._number("ends"):
            yield Emission((0,), time.perf_counter())
            yield Finish("stop", self._record(steps, 0))
            return
        yield Emission(output[:1], time.perf_counter())
        done, discarded = 1, 0
        if self._pair.engine_args.get("silent") == "steps":
            yield Emission(output[1:], time.perf_counter())
            yield Finish("length", None)
            return
        for step in self._steps(request):
            if done >= len(output):
                break
            await asyncio.sleep(self._number("slow_s"))
            steps.append(step)
            tokens = output[done : done + step.accepted_tokens + 1]
            discarded = step.accepted_tokens + 1 - len(tokens)
            done += len(tokens)
            yield Emission(tokens, time.perf_counter())
        if number.isdigit() and int(number) < self._number("stepless"):
            steps, discarded = [], 0
        yield Finish("length", self._record(steps, discarded), preemptions=int(self._number("preempted")))

    def _record(self, steps: list[VerifyStep], discarded: int) -> AcceptanceRecord | None:
        drafter = self._pair.drafter
        if drafter is None or self._pair.engine_args.get("silent"):
            return None
        return AcceptanceRecord.from_steps(steps, draft_length=drafter.draft_length, discarded_tokens=discarded)

    def _output(self, request: Request) -> tuple[int, ...]:
        draw = _random("output", *request.prompt_ids)
        length = request.sampling.max_output_tokens
        output = [draw.randrange(33, 127) for _ in range(length)]
        if self._pair.drafter is not None and request.request_id == self._pair.engine_args.get("lossy"):
            output[length // 2] = 32
        if self._requests <= self._number("other_target"):
            output = [255 - token for token in output]
        if _random("unsteady", self._pair.engine_args.get("unsteady"), self._requests).random() < self._number(
            "unsteady"
        ):
            output[-1] = 33 + self._requests % 90
        return tuple(output)

    def _number(self, name: str, default: float = 0.0) -> float:
        value = self._pair.engine_args.get(name, default)
        if not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number")
        return value

    def _jitter(self) -> tuple[int, ...]:
        """What makes this call's draws its own, for the share of calls that jitter."""
        return (self._requests,) if _random("jitter", self._requests).random() < self._number("jitter") else ()

    def _steps(self, request: Request) -> list[VerifyStep]:
        args, drafter = self._pair.engine_args, self._pair.drafter
        length = drafter.draft_length if drafter else 0
        chance = self._number("accept", 0.6)
        if args.get("weak") and request.request_id.startswith(str(args["weak"])):
            chance = self._number("weak_accept", 0.1)
        draw = _random("steps", request.request_id, args.get("noise"), *self._jitter())
        steps = []
        for _ in range(request.sampling.max_output_tokens):
            accepted = 0
            while accepted < length and draw.random() < chance:
                accepted += 1
            steps.append(VerifyStep(length, accepted))
        return steps


def _random(*parts: object) -> random.Random:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return random.Random(digest)
