"""The adapter under test: its engine with and without the drafter, one alive at a time, and what it answered."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pytest_speedbench.config import Pair, Sampling, Timeouts
from pytest_speedbench.conformance.asking import Answer, ask, ask_together, within
from pytest_speedbench.conformance.effort import Effort
from pytest_speedbench.conformance.findings import AbsentError, NotAskedError
from pytest_speedbench.conformance.left_behind import Watch
from pytest_speedbench.conformance.likelihood import Known
from pytest_speedbench.conformance.prompts import Ids, Prompts, load_prompts
from pytest_speedbench.engines.base import Engine, EngineFactory, EngineInfo
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.told import check_told, in_own_words
from pytest_speedbench.errors import EngineError

TEMPERATURES = (1.0, 0.7)
_STOP_S = 60.0
_GONE_S = 10.0
_MOST_AT_ONCE = 16
_PILOT_TOKENS = 8
_PILOT_DRAWS = 3


@dataclass(frozen=True, slots=True)
class Stopped:
    """How an engine stopped: how many processes it had, what is left of them, and what was wrong with the stop."""

    processes: int
    left: tuple[str, ...]
    fault: str | None


@dataclass
class Side:
    """What the pair, or the target alone, was asked once and for all.

    Attributes:
        info: what the engine said at its start.
        pilot: the short answer by which its speed was measured.
        greedy: answers to the greedy prompts, one at a time.
        sampled: by temperature, per prompt; or why there are none.
    """

    info: EngineInfo
    pilot: Answer
    greedy: list[Answer] = field(default_factory=list)
    sampled: dict[float, list[list[Answer]] | Exception] = field(default_factory=dict)


class Subject:
    """Owns the engines. All methods run on one event loop.

    Args:
        pair: what to load.
        timeouts: how long an engine may keep us waiting.
        factory: of the engine; the registered one by default.
    """

    def __init__(self, pair: Pair, timeouts: Timeouts | None = None, factory: EngineFactory | None = None) -> None:
        self.pair = pair
        self.alone = pair.alone()
        self.timeouts = timeouts or Timeouts()
        self.log: list[Answer] = []
        self.stops: list[Stopped] = []
        self.sides: dict[Pair, Side] = {}
        self.ranked: Known = {}
        self._factory = factory or engine_factory(pair.engine)
        self._loaded: tuple[Pair, Engine, Watch] | None = None
        self._effort: Effort | None = None
        self._draws: dict[float, tuple[list[int], int]] = {}

    @cached_property
    def prompts(self) -> Prompts:
        """What is asked."""
        return load_prompts(self.pair)

    @property
    def silence_s(self) -> float:
        """How long a busy engine may say nothing."""
        return self.timeouts.silence_s

    @property
    def draft_length(self) -> int:
        """K.

        Raises:
            NotAskedError: the pair has no drafter.
        """
        if self.pair.drafter is None:
            raise NotAskedError("the pair has no drafter")
        return self.pair.drafter.draft_length

    @property
    def effort(self) -> Effort:
        """How much is asked, once an engine was started."""
        if self._effort is None:
            raise RuntimeError("no engine was started yet")
        return self._effort

    async def engine(self) -> Engine:
        """The pair's engine, started. The target alone is stopped if it is what runs."""
        return await self._started(self.pair)

    async def side(self) -> Side:
        """The pair's engine and what it was asked at its start."""
        await self.engine()
        return self.sides[self.pair]

    async def target_alone(self) -> Engine:
        """The target alone, started, once the pair was asked all that is compared with it.

        Raises:
            NotAskedError: the pair has no drafter.
            AbsentError: the engine cannot decode without its drafter.
        """
        _ = self.draft_length
        if self.pair.server is not None:
            raise AbsentError(f"{self.pair.server} cannot decode without its drafter")
        if self._loaded is None or self._loaded[0] != self.alone:
            try:
                self._factory.check(in_own_words(self.alone, self._factory))
            except EngineError as error:
                raise AbsentError(f"the engine refuses the target alone: {error.problem}") from None
            await self.greedy(self.pair)
            for temperature in TEMPERATURES:
                with contextlib.suppress(Exception):  # told by the check that needs them
                    await self.sampled(self.pair, temperature)
        return await self._started(self.alone)

    async def ask(self, prompt_ids: Ids, sampling: Sampling) -> Answer:
        """Ask the pair, and keep its answer for the checks of its records."""
        answer = await ask(await self.engine(), prompt_ids, sampling, self.silence_s)
        self.log.append(answer)
        return answer

    async def greedy(self, pair: Pair) -> list[Answer]:
        """Greedy answers, asked one at a time; asked once."""
        side = self.sides.get(pair)
        if side is None or len(side.greedy) < self.effort.prompts:
            engine = await self._started(pair)
            side = self.sides[pair]
            for prompt in self.prompts.one_per_category[len(side.greedy) : self.effort.prompts]:
                side.greedy.append(await ask(engine, prompt, Sampling(self.effort.tokens), self.silence_s))
                self._keep(pair, side.greedy[-1:])
        return side.greedy

    async def sampled(self, pair: Pair, temperature: float) -> list[list[Answer]]:
        """Sampled answers per prompt, each with a seed of its own; asked once.

        Raises:
            Exception: whatever the engine raised when it was asked.
        """
        side = self.sides.get(pair)
        if side is None or temperature not in side.sampled:
            engine = await self._started(pair)
            side = self.sides[pair]
            try:
                answers = await self._draw(engine, side, temperature)
            except Exception as error:
                side.sampled[temperature] = error
                raise
            side.sampled[temperature] = answers
            for of_prompt in answers:
                self._keep(pair, of_prompt)
        found = side.sampled[temperature]
        if isinstance(found, Exception):
            raise found
        return found

    def _keep(self, pair: Pair, answers: Sequence[Answer]) -> None:
        """Keep answers of the pair for the checks of its records."""
        if pair == self.pair:
            self.log.extend(answers)

    async def _draw(self, engine: Engine, side: Side, temperature: float) -> list[list[Answer]]:
        at_once, most = self.at_once(side.info), len(self.prompts.open_ended)
        if temperature not in self._draws:
            pilots = await self._round(engine, temperature, range(most), range(_PILOT_DRAWS), at_once)
            spent = max(answer.arrived_s[-1] for answer in pilots) - min(answer.began_s for answer in pilots)
            draws = self.effort.draws(spent / len(pilots), most)
            # Those with the most to vary; the pilot's own outputs are not compared, so that choosing by them is fair.
            variety = [len({answer.ids for answer in pilots[place::most]}) for place in range(most)]
            chosen = sorted(range(most), key=lambda place: -variety[place])[: draws.prompts]
            self._draws[temperature] = (sorted(chosen), draws.each)
        places, each = self._draws[temperature]
        answers = await self._round(engine, temperature, places, range(_PILOT_DRAWS, _PILOT_DRAWS + each), at_once)
        return [answers[number :: len(places)] for number in range(len(places))]

    async def _round(
        self, engine: Engine, temperature: float, places: Sequence[int], seeds: range, at_once: int
    ) -> list[Answer]:
        """One output of every seed and prompt, the prompts of one seed side by side."""
        asked = [
            (
                self.prompts.open_ended[place],
                Sampling(self.effort.positions, temperature=temperature, seed=1000 * seed + place),
            )
            for seed in seeds
            for place in places
        ]
        return await ask_together(engine, asked, at_once, self.silence_s)

    def at_once(self, info: EngineInfo, most: int = _MOST_AT_ONCE) -> int:
        """Requests to ask at a time."""
        return most if info.max_concurrency is None else min(most, info.max_concurrency)

    async def discard(self) -> None:
        """Stop an engine that cannot be trusted any more; the next check gets a fresh one."""
        if self._loaded is not None:
            _, engine, _ = self._loaded
            self._loaded = None
            with contextlib.suppress(Exception):
                await within(engine.stop(), _STOP_S, "not stopped")

    async def stop(self) -> None:
        """Stop what runs, twice as promised, and note what is left."""
        if self._loaded is None:
            return
        _, engine, watch = self._loaded
        self._loaded = None
        processes = watch.note()
        fault = await _fault_of(within(engine.stop(), _STOP_S, "not stopped"))
        fault = fault or await _fault_of(within(engine.stop(), _STOP_S, "not stopped a second time"))
        self.stops.append(Stopped(processes, tuple(await watch.left(_GONE_S)), fault))

    async def _started(self, wanted: Pair) -> Engine:
        if self._loaded is not None and self._loaded[0] == wanted:
            return self._loaded[1]
        await self.stop()
        _ = self.prompts  # rendered before the engine starts
        watch, engine = Watch(), self._factory.create(in_own_words(wanted, self._factory))
        try:
            info = await within(engine.start(), self.timeouts.start_s, "not started")
            check_told(wanted, self._factory, info)
            self._loaded = (wanted, engine, watch)
            watch.note()
            await self._pilot(engine, wanted, info)
        except BaseException:
            self._loaded = None
            await engine.stop()
            raise
        return engine

    async def _pilot(self, engine: Engine, pair: Pair, info: EngineInfo) -> None:
        """Two short requests, of which the second shows how fast the engine is."""
        ids, sampling = self.prompts.one_per_category[0], Sampling(_PILOT_TOKENS, ignore_eos=True)
        for _ in range(2):
            pilot = await ask(engine, ids, sampling, self.silence_s)
        if self._effort is None:
            length = self.pair.drafter.draft_length if self.pair.drafter is not None else 3
            self._effort = Effort.of(pilot.seconds / max(1, len(pilot.ids)), length)
        side = self.sides.setdefault(pair, Side(info, pilot))
        side.info = info


async def _fault_of(stopping: Awaitable[None]) -> str | None:
    try:
        await stopping
    except Exception as error:  # whatever it raises becomes words
        return f"{type(error).__name__}: {error}"
    return None
