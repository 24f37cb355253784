"""The toy engine with one fault each, and a few that are odd and yet faultless."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from dataclasses import replace
from typing import ClassVar

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.errors import EngineError, UnsupportedError
from tests.unit.conformance.toy_engine import EOS, Decoding, Ids, Stream, ToyEngine, likely


class BosTwice(ToyEngine):
    def read(self, prompt_ids: Ids) -> Ids:
        return (1, *prompt_ids)


class LosesTheLastId(ToyEngine):
    def read(self, prompt_ids: Ids) -> Ids:
        return prompt_ids[:-1] or prompt_ids


class LosesTheFirstIdSilently(ToyEngine):
    """It does not say what it read, and its log-probabilities give it away."""

    def read(self, prompt_ids: Ids) -> Ids:
        return prompt_ids[1:] or prompt_ids

    async def prompt_as_read(self, prompt_ids: Ids) -> Ids | None:  # noqa: ARG002
        return None


class EndsTwice(ToyEngine):
    async def generate(self, request: Request) -> Stream:
        async for event in super().generate(request):
            if isinstance(event, Emission) and event.token_ids[-1] == EOS and not request.sampling.ignore_eos:
                yield Emission((*event.token_ids, EOS), event.at_s)
            else:
                yield event


class IgnoresTheEnd(ToyEngine):
    async def generate(self, request: Request) -> Stream:
        async for event in super().generate(replace(request, sampling=replace(request.sampling, ignore_eos=True))):
            yield event


class OneTokenTooMany(ToyEngine):
    async def generate(self, request: Request) -> Stream:
        limit = request.sampling.max_output_tokens + 1
        async for event in super().generate(
            replace(request, sampling=replace(request.sampling, max_output_tokens=limit))
        ):
            yield event


class ArgmaxWhenSampling(ToyEngine):
    """Verifies by argmax whatever the temperature; the prefill's token is sampled."""

    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:
        greedy = sampling if first or self.pair.drafter is None else replace(sampling, temperature=0.0)
        return super().choose(ids, greedy, draws, first=first)


class RefusesToSample(ToyEngine):
    """Says that it decodes greedily only."""

    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:
        if not sampling.greedy:
            raise UnsupportedError("The toy does not sample.", "Measure at temperature 0.")
        return super().choose(ids, sampling, draws, first=first)


class RoundsTemperatures(ToyEngine):
    """Drops what is no integer of a temperature when it speculates."""

    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:
        if self.pair.drafter is not None and not first and not sampling.greedy:
            sampling = replace(sampling, temperature=float(int(sampling.temperature)) or 100.0)
        return super().choose(ids, sampling, draws, first=first)


class PrefillIsAStep(ToyEngine):
    def record(self, answer: Decoding) -> AcceptanceRecord | None:
        answer.verified.insert(0, VerifyStep(self.pair.drafter.draft_length if self.pair.drafter else 0, 0))
        return super().record(answer)


class CountsTheBonusToken(ToyEngine):
    """Accepted tokens one too many in every step that has room for them, and as many discarded."""

    def record(self, answer: Decoding) -> AcceptanceRecord | None:
        length = self.pair.drafter.draft_length if self.pair.drafter else 0
        steps = answer.verified
        answer.verified = [VerifyStep(length, min(length, step.accepted_tokens + 1)) for step in steps]
        answer.discarded_tokens += sum(step.accepted_tokens < length for step in steps)
        return super().record(answer)


class SwapsHistogramBins(ToyEngine):
    """The sums are right, the steps are not."""

    def record(self, answer: Decoding) -> AcceptanceRecord | None:
        record = super().record(answer)
        if record is None or record.histogram[1] < 2:
            return record
        zero, one, two, *rest = record.histogram
        return replace(record, histogram=(zero + 1, one - 2, two + 1, *rest))


class CountsOnlyHalf(ToyEngine):
    async def counters(self) -> SpeculationCounters | None:
        found = self.counted
        return replace(found, verify_steps=found.verify_steps // 2, accepted_per_position=(0,) * 3)


class LeaksAProcess(ToyEngine):
    leaked: ClassVar[list[subprocess.Popen[bytes]]] = []

    async def start(self) -> EngineInfo:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        self.leaked.append(subprocess.Popen(command, start_new_session=True))  # noqa: ASYNC220
        return await super().start()


class HangsOnCancel(ToyEngine):
    async def generate(self, request: Request) -> Stream:
        try:
            async for event in super().generate(request):
                yield event
        except GeneratorExit:
            await asyncio.sleep(3600)


class DecodesCancelledOnes(ToyEngine):
    """The next request waits until a cancelled one would have been at its end."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._busy_until_s = 0.0

    async def generate(self, request: Request) -> Stream:
        await asyncio.sleep(max(0.0, self._busy_until_s - time.perf_counter()))
        try:
            async for event in super().generate(request):
                yield event
        except GeneratorExit:
            self._busy_until_s = time.perf_counter() + 2.5
            raise


class SwallowsErrors(ToyEngine):
    def check(self, request: Request) -> None:
        pass

    async def generate(self, request: Request) -> Stream:
        try:
            super().check(request)
        except EngineError:
            yield Finish("stop", None)
            return
        async for event in super().generate(request):
            yield event


class RaisesAnythingButEngineError(ToyEngine):
    def check(self, request: Request) -> None:
        try:
            super().check(request)
        except EngineError as error:
            raise ValueError(error.problem) from None


class DiesOfAnError(ToyEngine):
    _dead = False

    def check(self, request: Request) -> None:
        if self._dead:
            raise EngineError("The engine is dead.", "Start another one.")
        try:
            super().check(request)
        except EngineError:
            self._dead = True
            raise


class TellsTheTimeOfDay(ToyEngine):
    def now(self) -> float:
        return time.time()


class NeverTheSame(ToyEngine):
    """Its third choice in a while, whatever the temperature: an engine that does not repeat."""

    _choices = 0

    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:
        self._choices += 1
        if sampling.greedy and self._choices % 7 == 0:
            return likely(ids)[2][0]
        return super().choose(ids, sampling, draws, first=first)


class IgnoresSeeds(ToyEngine):
    _choices = 0

    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:  # noqa: ARG002
        self._choices += 1
        return super().choose(ids, sampling, random.Random(self._choices), first=first)


class LossyDrafter(ToyEngine):
    def choose(self, ids: Ids, sampling: Sampling, draws: random.Random, *, first: bool) -> int:
        if self.pair.drafter is not None and sampling.greedy and len(ids) % 11 == 0:
            return likely(ids)[1][0]
        return super().choose(ids, sampling, draws, first=first)


class MixesUpRequests(ToyEngine):
    """With others under way, a request may get another's token."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._under_way = 0

    async def generate(self, request: Request) -> Stream:
        self._under_way += 1
        try:
            async for event in super().generate(request):
                if isinstance(event, Emission) and self._under_way > 2:
                    yield Emission(tuple(token ^ 1 for token in event.token_ids), event.at_s)
                else:
                    yield event
        finally:
            self._under_way -= 1


class SaysNothingOfItself(ToyEngine):
    async def start(self) -> EngineInfo:
        return replace(await super().start(), version="", device="")


class NoRecord(ToyEngine):
    """Nothing wrong: it does not say, which is absent and not kept."""

    def record(self, answer: Decoding) -> AcceptanceRecord | None:  # noqa: ARG002
        return None

    async def counters(self) -> SpeculationCounters | None:
        return None


class MergesSteps(ToyEngine):
    """Nothing wrong, as a server does that its client lags behind: everything after the prefill in one emission."""

    async def generate(self, request: Request) -> Stream:
        first: Emission | None = None
        tokens: Ids = ()
        async for event in super().generate(request):
            if isinstance(event, Finish):
                if tokens:
                    yield Emission(tokens, self.now())
                yield event
            elif first is None:
                first = event
                yield event
            else:
                tokens += event.token_ids


class SplitsSteps(ToyEngine):
    """Nothing wrong, as a server does that sends token by token."""

    async def generate(self, request: Request) -> Stream:
        async for event in super().generate(request):
            if isinstance(event, Finish):
                yield event
            else:
                for token in event.token_ids:
                    yield Emission((token,), event.at_s)


class FailsToStop(ToyEngine):
    _stops = 0

    async def stop(self) -> None:
        self._stops += 1
        if self._stops > 1:
            raise RuntimeError("stopped already")
