"""The closed-loop driver: N conversations at a time, each turn's reply fed back before the next."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pytest_speedbench.config import Load, Sampling
from pytest_speedbench.engines.base import Emission, Engine, EngineInfo, Prints, Request
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.arrivals import Arrivals
from pytest_speedbench.measure.context import check_later_turns, check_length
from pytest_speedbench.measure.history import checked_answer, content_of
from pytest_speedbench.measure.prompts import ChatEncoder, dialogue, encode_turn, ids_hash
from pytest_speedbench.measure.run import Conversation, Turn
from pytest_speedbench.measure.tokenized import Tokenized, tokenize
from pytest_speedbench.splits.schema import Prompt

_UNPACED_CONCURRENCY = 256
"""Requests at a time where nothing is decoded; more would only fill the memory with their ids."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a measurement is.

    Attributes:
        done: conversations finished or, their category being decided, no longer needed. It never falls, and jumps when
            a category is decided.
        total: prompts given.
        conversation: the one that was just finished.
    """

    done: int
    total: int
    conversation: Conversation


class StopRule(Protocol):
    """Says while a run is under way which categories need no more prompts.

    It is shown prefixes only: the conversations of a category in the order in which they were queued, up to the first
    that is not finished. With several under way short outputs finish first, so what happens to be finished is no random
    sample of the category even where the order was random; a prefix is.
    """

    def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
        """Judge anew after one more conversation.

        Called once for every conversation that joins a prefix, on the event loop: be quick. The looks at one undecided
        category are thus at 1, 2, 3, … conversations, whatever the concurrency.

        Args:
            prefixes: of every category, empty ones included; not to be kept, they grow. A decided category's no longer
                does.
            grown: the category whose prefix has just grown.

        Returns:
            All categories that are decided by now, ``grown`` or others. What was decided once stays decided.
        """


@dataclass(frozen=True, slots=True)
class _Task:
    """A conversation to hold; ``place`` is that of its first turn among those tokenized."""

    index: int
    prompt: Prompt
    place: int


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A turn's token ids, their hash, and, for an engine that renders them itself, the messages."""

    ids: tuple[int, ...]
    sha256: str
    messages: tuple[tuple[str, str], ...] = ()


async def measure(
    engine: Engine,
    info: EngineInfo,
    encoder: ChatEncoder,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    load: Load,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    silence_s: float | None = None,
    stop: StopRule | None = None,
    first_turns: Tokenized | None = None,
) -> tuple[Conversation, ...]:
    """Ask every prompt and record what came back, in the prompts' order.

    With a rule, prompts of decided categories are no longer asked and those under way are cancelled; of a decided
    category the prefix at its decision is returned, and what had finished beyond it is left out. The other categories
    go on undisturbed, at the full concurrency.

    The first turns are tokenized before the clock starts, later turns off the event loop; what cannot fit the context
    whatever the replies are is refused before anything is asked. When one conversation fails
    or the caller cancels, the others are cancelled too and nothing is returned: a part is not a measurement.

    Args:
        engine: a started engine.
        info: what it said at its start.
        encoder: of the target's own tokenizer and chat template.
        prompts: what to ask.
        sampling: how to sample, each request with a seed of its own.
        load: conversations at a time.
        on_progress: called after each conversation, on the event loop.
        silence_s: how long the engine may emit nothing at all, in seconds; ``None`` for as long as it likes.
        stop: decides categories early; ``None`` to ask every prompt.
        first_turns: of these prompts, in any order; ``None`` to tokenize them now.

    Raises:
        EngineError: the engine failed or fell silent, a prompt does not fit its context, it cannot take this
            concurrency, or its tokens or records are not what was asked.
    """
    if info.max_concurrency is not None and load.concurrency > info.max_concurrency:
        raise EngineError(
            f"The engine {info.name} decodes at most {info.max_concurrency} request at a time, "
            f"but a concurrency of {load.concurrency} is asked.",
            f"Use a concurrency of {info.max_concurrency}, or an engine that batches.",
        )
    first = first_turns if first_turns is not None else tokenize(encoder, prompts)
    places = {question_id: place for place, question_id in enumerate(first.question_ids)}
    tasks = [_Task(index, prompt, places[prompt.question_id]) for index, prompt in enumerate(prompts)]
    for task in tasks:
        check_length(task.prompt, 0, first.tokens(task.place), sampling, info)
    first_tokens = [first.tokens(task.place) for task in tasks]
    await asyncio.to_thread(check_later_turns, encoder, prompts, first_tokens, sampling, info)
    loop = _ClosedLoop(engine, info, encoder, sampling, on_progress, tasks, first, stop)
    # Where nothing is decoded, the load changes nothing: much is asked at once, so that it can be computed together.
    at_a_time = load.concurrency if info.timed else info.max_concurrency or _UNPACED_CONCURRENCY
    return await loop.run(at_a_time, silence_s)


class _Kept:
    """What a run has recorded, by category and in the order of the queue, and which categories are decided."""

    def __init__(self, tasks: Sequence[_Task], stop: StopRule | None) -> None:
        self._stop = stop
        self._finished: dict[int, Conversation] = {}
        self._order: dict[str, list[int]] = {}
        for task in tasks:
            self._order.setdefault(task.prompt.category, []).append(task.index)
        self._prefixes: dict[str, list[Conversation]] = {category: [] for category in self._order}
        self.decided: frozenset[str] = frozenset()

    def add(self, task: _Task, conversation: Conversation) -> frozenset[str]:
        """Keep a conversation of an undecided category; returns the categories that are decided by it."""
        self._finished[task.index] = conversation
        category = task.prompt.category
        prefix, order = self._prefixes[category], self._order[category]
        before = self.decided
        while len(prefix) < len(order) and order[len(prefix)] in self._finished:
            prefix.append(self._finished[order[len(prefix)]])
            if self._stop is not None:
                self._settle(self._stop.look(self._prefixes, category))
        return self.decided - before

    @property
    def done(self) -> int:
        """Prompts that need no more asking."""
        not_needed = sum(len(self._order[category]) - len(self._prefixes[category]) for category in self.decided)
        return len(self._finished) + not_needed

    def conversations(self) -> tuple[Conversation, ...]:
        """All that is kept, in the order of the queue."""
        return tuple(self._finished[index] for index in sorted(self._finished))

    def _settle(self, decided: frozenset[str]) -> None:
        for category in (decided & self._order.keys()) - self.decided:
            self.decided |= {category}
            for index in self._order[category][len(self._prefixes[category]) :]:
                self._finished.pop(index, None)


class _ClosedLoop:
    """One measurement in the making."""

    def __init__(
        self,
        engine: Engine,
        info: EngineInfo,
        encoder: ChatEncoder,
        sampling: Sampling,
        on_progress: Callable[[Progress], None] | None,
        tasks: Sequence[_Task],
        first_turns: Tokenized,
        stop: StopRule | None,
    ) -> None:
        self._engine = engine
        self._info = info
        self._encoder = encoder
        self._sampling = sampling
        self._on_progress = on_progress
        self._tasks = tasks
        self._first_turns = first_turns
        self._queue = self._queued()
        self._under_way: dict[asyncio.Future[Conversation], str] = {}
        self._kept = _Kept(tasks, stop)
        self._started_at = 0.0
        self._heard_at = 0.0

    async def run(self, concurrency: int, silence_s: float | None) -> tuple[Conversation, ...]:
        self._started_at = self._heard_at = time.perf_counter()
        workers = [asyncio.ensure_future(self._work()) for _ in range(min(concurrency, len(self._tasks)))]
        done = asyncio.gather(*workers)
        watch = asyncio.ensure_future(self._watch(silence_s))
        try:
            either: list[asyncio.Future[Any]] = [done, watch]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await (done if done.done() else watch)
        finally:
            # Without anything to ask or to wait for, the workers end by themselves.
            self._queue.close()
            self._cancel(frozenset(self._under_way.values()))
            watch.cancel()
            await asyncio.gather(watch, *workers, done, return_exceptions=True)
        return self._kept.conversations()

    async def _watch(self, silence_s: float | None) -> None:
        while silence_s is not None:
            rest = self._heard_at + silence_s - time.perf_counter()
            if rest <= 0:
                raise EngineError(
                    f"The engine {self._info.name} has emitted nothing for {silence_s:g} s with requests under way.",
                    "It hangs, or is slower than that: raise the limit with --speedbench-silence-timeout.",
                    self._engine.output() if isinstance(self._engine, Prints) else "",
                )
            await asyncio.sleep(rest)
        await asyncio.Event().wait()

    def _queued(self) -> Generator[_Task, None, None]:
        for task in self._tasks:
            if task.prompt.category not in self._kept.decided:
                yield task

    async def _work(self) -> None:
        for task in self._queue:
            conversation = await self._hold(task)
            if conversation is None or task.prompt.category in self._kept.decided:
                continue
            self._cancel(self._kept.add(task, conversation))
            if self._on_progress is not None:
                self._on_progress(Progress(self._kept.done, len(self._tasks), conversation))

    async def _hold(self, task: _Task) -> Conversation | None:
        """Hold a conversation that can be cancelled without its worker; ``None`` if it was."""
        held = asyncio.ensure_future(self._converse(task))
        self._under_way[held] = task.prompt.category
        try:
            return await held
        except asyncio.CancelledError:
            if held in self._under_way:  # not by us
                raise
            return None
        finally:
            self._under_way.pop(held, None)

    def _cancel(self, categories: frozenset[str]) -> None:
        """Cancel what is under way in these categories, each once: a second time would cut its clean-up short."""
        for held in [held for held, category in self._under_way.items() if category in categories]:
            del self._under_way[held]
            held.cancel()

    async def _converse(self, task: _Task) -> Conversation:
        prompt = task.prompt
        # Only now, and for this prompt alone: as Python integers the ids of a large split would fill the memory.
        first_ids = self._first_turns.request_ids(task.place)
        rendered = _Rendered(first_ids, self._first_turns.sha256[task.place], self._messages(prompt, ()))
        turns: list[Turn] = []
        contents: list[str] = []
        while True:
            turn, answer = await self._ask(prompt, len(turns), rendered)
            turns.append(turn)
            if len(turns) == len(prompt.turns):
                break
            rendered = await asyncio.to_thread(self._render, prompt, contents, turn, answer)
            check_length(prompt, len(turns), len(rendered.ids), self._sampling, self._info)
        return Conversation(prompt.question_id, prompt.category, prompt.sub_category, tuple(turns), prompt.isl_tokens)

    def _render(self, prompt: Prompt, contents: list[str], turn: Turn, answer: str | None) -> _Rendered:
        """Add the content of the last reply, and render the turn after it."""
        if answer is None:
            ends = self._info.eos_token_ids
            contents.append(content_of(self._encoder, prompt, contents, turn.output_ids, ends))
        else:
            contents.append(checked_answer(prompt, len(contents) + 1, answer))
        ids = encode_turn(self._encoder, prompt, contents)
        return _Rendered(ids, ids_hash(ids), self._messages(prompt, contents))

    def _messages(self, prompt: Prompt, replies: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """The conversation up to the turn that is asked next, as role and text, where the engine needs it."""
        if not self._info.templates_prompts:
            return ()
        asked = dialogue(prompt.turns[: len(replies) + 1], replies, prompt.system)
        return tuple((message["role"], message["content"]) for message in asked)

    async def _ask(self, prompt: Prompt, number: int, rendered: _Rendered) -> tuple[Turn, str | None]:
        """Have a turn answered; the turn, and the answer where the engine parts it from a thought."""
        request_id = f"{prompt.question_id}/{number + 1}"
        seed = _request_seed(self._sampling.seed, request_id)
        request = Request(request_id, rendered.ids, replace(self._sampling, seed=seed), rendered.messages)
        arrivals = Arrivals(self._info.name, request, self._info.vocab_size)
        emissions: list[tuple[float, int]] = []
        start_s = time.perf_counter() - self._started_at
        async with aclosing(self._engine.generate(request)) as stream:
            async for event in stream:
                self._heard_at = time.perf_counter()
                arrivals.add(event)
                if isinstance(event, Emission):
                    emissions.append((event.at_s - self._started_at, len(event.token_ids)))
        finish = arrivals.ended()
        turn = Turn(
            prompt_tokens=len(rendered.ids),
            prompt_sha256=rendered.sha256,
            output_ids=tuple(arrivals.output),
            finish_reason=finish.reason,
            start_s=start_s,
            emissions=tuple(emissions),
            acceptance=finish.acceptance,
            preemptions=finish.preemptions,
            routed_experts=finish.routed_experts,
            exposure=finish.exposure,
        )
        return turn, finish.answer


def _request_seed(seed: int, request_id: str) -> int:
    """A seed of its own for each request that does not depend on the order in which requests run."""
    digest = hashlib.sha256(f"{seed}:{request_id}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
