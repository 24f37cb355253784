"""From a pair and a split to a Run: resolves models, keeps an engine alive between measurements, records what ran."""

from __future__ import annotations

import asyncio
import platform
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from importlib import metadata
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_speedbench.acceptance import AcceptanceRecord, Counted
from pytest_speedbench.config import Drafter, Load, Pair, Sampling, Timeouts
from pytest_speedbench.engines.base import (
    Answered,
    CountsSpeculation,
    Engine,
    EngineInfo,
    Prints,
    RanksTokens,
    Rejudges,
    SpeculationCounters,
)
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.identity import SERVERS_TEMPLATE, ModelIdentity, model_identity
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.told import check_told, in_own_words
from pytest_speedbench.errors import EngineError, SpeedbenchWarning
from pytest_speedbench.measure.counters import check_counted, counted, read_counters
from pytest_speedbench.measure.driver import Progress, StopRule, measure
from pytest_speedbench.measure.history import content_of
from pytest_speedbench.measure.loop import BackgroundLoop
from pytest_speedbench.measure.openings import openings_of
from pytest_speedbench.measure.order import stratified_order
from pytest_speedbench.measure.prompts import LateEncoder, check_chat_template, dialogue, ids_hash
from pytest_speedbench.measure.recording import Witness, check_recordable, outputs_of, stored_outputs
from pytest_speedbench.measure.run import Conversation, Run, SplitIdentity
from pytest_speedbench.measure.stream import with_stream_records
from pytest_speedbench.measure.tokenized import Tokenized, tokenize_or_recall
from pytest_speedbench.outputs import DEFAULT_OVERHANG, Outputs
from pytest_speedbench.splits.schema import Prompt, Split

if TYPE_CHECKING:
    from pytest_speedbench.engines.replay.expected import ExpectedAcceptance

T = TypeVar("T")


class Runner:
    """Measures pairs. Close it, or use it as a context manager.

    One engine is alive at a time, because two rarely fit one accelerator; the pair that is loaded already costs nothing
    to ask again.

    Args:
        cache: the folder where token ids of large splits are kept; ``None`` to tokenize them every time.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._loop = BackgroundLoop()
        self._loaded: tuple[Pair, Engine, EngineInfo] | None = None
        self._encoders: dict[str, LateEncoder] = {}
        self._first_turns: tuple[str, tuple[Prompt, ...], Tokenized] | None = None
        self._noted: set[str] = set()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, pair: Pair) -> None:
        """Refuse a pair that can be known not to run, before anything is loaded.

        Raises:
            EngineError: engine unknown or not installed, models missing or not fitting each other.
        """
        factory = engine_factory(pair.engine)
        factory.check(in_own_words(pair, factory))
        checkpoint = open_checkpoint(pair.model, download=False)
        if checkpoint is not None:
            check_chat_template(checkpoint.folder)

    def measure(
        self,
        pair: Pair,
        split: Split,
        sampling: Sampling,
        load: Load,
        on_progress: Callable[[Progress], None] | None = None,
        timeouts: Timeouts | None = None,
        *,
        stop: StopRule | None = None,
        order_seed: int | None = None,
        keep_outputs: Callable[[Outputs], None] | None = None,
        overhang: int = DEFAULT_OVERHANG,
    ) -> Run:
        """Measure a pair on a split.

        The first turns are tokenized before the engine is started; what goes otherwise there than it should is a
        :class:`~pytest_speedbench.errors.SpeedbenchWarning`.

        An engine that failed, or that fell silent, is stopped; the next measurement starts it anew.

        Args:
            pair: what is measured.
            split: what is asked.
            sampling: how tokens are picked.
            load: conversations at a time.
            on_progress: called after each conversation, on the event loop.
            timeouts: how long the engine may keep us waiting.
            stop: decides categories before all their prompts are asked. It sees the acceptance records that the run
                will have; a drafting engine that gives none with its requests but keeps counters has one for the whole
                run only, which decides no category, so the rule is not asked and every prompt is.
            order_seed: ask in :func:`~pytest_speedbench.measure.order.stratified_order` of this seed, as a rule that
                takes a prefix for a random sample needs it; ``None`` for the split's order.
            keep_outputs: takes what the target put out, for replay; the engine is asked to go on past every end.
            overhang: how many tokens past it.

        Raises:
            EngineError: the pair cannot run, does not start in time, or failed while measuring.
        """
        limits = timeouts or Timeouts()
        self.check(pair)
        encoder = self._encoder(pair.model)
        first_turns = self._tokenized(pair.model, split.prompts)
        if any(prompt.multiturn for prompt in split.prompts):
            _ = encoder.loaded  # now, not while replies are awaited
        engine, info = self._engine(pair, limits)
        prompts = split.prompts if order_seed is None else stratified_order(split.prompts, order_seed)
        if stop is not None and pair.drafter is not None:
            stop = _WithRecords(stop, pair.drafter.draft_length, keeps_counters=isinstance(engine, CountsSpeculation))

        witness = None
        if keep_outputs is not None:
            check_recordable(info)
            witness = Witness(engine)

        async def conversations_and_counters() -> tuple[tuple[Conversation, ...], Counted | None]:
            before = await _counters(engine, pair, limits.silence_s)
            found = await measure(
                witness or engine,
                info,
                encoder,
                prompts,
                sampling,
                load,
                on_progress,
                silence_s=limits.silence_s,
                stop=stop,
                first_turns=first_turns,
            )
            if len(found) < len(prompts):
                return found, None  # the counters saw requests that were cancelled or left out
            in_all = counted(before, await _counters(engine, pair, limits.silence_s), pair)
            if in_all is not None:
                check_counted(in_all, found, pair)
            return found, in_all

        conversations, counters = self._asked(conversations_and_counters())
        if counters is None and pair.drafter is not None:
            conversations = with_stream_records(conversations, pair.drafter.draft_length)
        models = _models(pair, info)
        if keep_outputs is not None and witness is not None:
            rows = self._asked(stored_outputs(engine, info, witness.seen, overhang, load.concurrency))
            keep_outputs(outputs_of(pair, info, models, split, sampling, overhang, rows))
        places = {prompt.question_id: place for place, prompt in enumerate(split.prompts)}
        return Run(
            pair=pair,
            engine=info,
            models=models,
            split=SplitIdentity.of(split),
            sampling=sampling,
            load=load,
            conversations=tuple(sorted(conversations, key=lambda c: places[c.question_id])),
            environment=_environment(),
            counters=counters,
            stopped=_stopped(split, conversations),
        )

    def openings(
        self, pair: Pair, split: Split, wanted: Sequence[str], sampling: Sampling, timeouts: Timeouts | None = None
    ) -> Mapping[str, str]:
        """How the target of a pair opens its answers to some prompts; see :mod:`~pytest_speedbench.measure.openings`.

        Args:
            pair: its engine is started if need be, and kept.
            split: what is to be measured.
            wanted: ids of some of its prompts.
            sampling: greedy.
            timeouts: how long the engine may keep us waiting.

        Returns:
            By question id; none where the engine renders prompts itself, so that others than ours are read.

        Raises:
            EngineError: the pair cannot run, does not start in time, or failed.
        """
        limits = timeouts or Timeouts()
        self.check(pair)
        first_turns = self._tokenized(pair.model, split.prompts)
        engine, info = self._engine(pair, limits)
        if info.templates_prompts:
            return {}
        return self._asked(openings_of(engine, first_turns, wanted, sampling, limits.silence_s))

    def prompt_hashes(self, model: str, split: Split) -> Mapping[str, str]:
        """The hashes of a split's first turns as this model's template renders them, by question id."""
        first_turns = self._tokenized(model, split.prompts)
        return dict(zip(first_turns.question_ids, first_turns.sha256, strict=True))

    def at_draft_lengths(self, run: Run, lengths: Iterable[int]) -> dict[int, Run]:
        """A run that was just replayed, as it is with shorter drafts, by draft length.

        Raises:
            EngineError: its engine is no longer loaded, or decoded.
            OutputsError: a length is above the run's own.
        """
        engine, drafter = self._replayed_last(run)
        found = {}
        for length in lengths:
            records = _by_hash(engine.records_at(length))
            pair = replace(run.pair, drafter=replace(drafter, draft_length=length))
            found[length] = replace(run, pair=pair, conversations=tuple(_with(c, records) for c in run.conversations))
        return found

    def expected(self, run: Run) -> dict[str, ExpectedAcceptance]:
        """What is expected of a run that was just replayed with drawn drafts, by the conversations' question ids.

        Empty where drafts are greedy: their records are what they are.

        Raises:
            EngineError: its engine is no longer loaded, or decoded.
            OutputsError: its drafts are longer than those that were replayed.
        """
        from pytest_speedbench.engines.replay.expected import Expects

        engine, drafter = self._replayed_last(run)
        requests = _by_hash(engine.expected_at(drafter.draft_length)) if isinstance(engine, Expects) else {}
        found = {}
        for conversation in run.conversations if requests else ():
            turns = [requests[turn.prompt_sha256, turn.output_ids] for turn in conversation.turns]
            found[conversation.question_id] = reduce(lambda turn, following: turn.joined(following), turns)
        return found

    def _replayed_last(self, run: Run) -> tuple[Rejudges, Drafter]:
        loaded, drafter = self._loaded, run.pair.drafter
        if loaded is None or not isinstance(loaded[1], Rejudges) or drafter is None or loaded[0].drafter is None:
            raise EngineError(f"The run of {run.pair.name!r} was not replayed last.", "Replay it first.")
        longest = replace(drafter, draft_length=loaded[0].drafter.draft_length)
        if loaded[0] != replace(run.pair, drafter=longest):
            raise EngineError(f"The run of {run.pair.name!r} was not replayed last.", "Replay it first.")
        return loaded[1], drafter

    def next_tokens(
        self,
        pair: Pair,
        turns: Sequence[str],
        replies: Sequence[Sequence[int]],
        common_ids: tuple[int, ...],
        count: int,
        timeouts: Timeouts | None = None,
        system: str = "",
    ) -> tuple[tuple[int, float], ...] | None:
        """The target's most probable next tokens in the middle of a conversation, with their log-probabilities.

        Args:
            pair: whose target; asked of whatever engine is loaded with that target, since a drafter changes nothing.
            turns: the user's turns so far.
            replies: output ids of the answered ones.
            common_ids: the answer so far.
            count: how many tokens.
            timeouts: how long the engine may keep us waiting for its start and for its answer.
            system: the system message before the first turn; empty for none.

        Returns:
            Token ids and natural log-probabilities, most probable first; ``None`` if the engine cannot say.

        Raises:
            EngineError: the engine does not start or answer in time, or fails.
        """
        limits = timeouts or Timeouts()
        loaded = self._loaded
        same = loaded is not None and loaded[0].alone() == pair.alone()
        engine, info = loaded[1:] if loaded is not None and same else self._engine(pair, limits)
        if not isinstance(engine, RanksTokens):
            return None
        encoder = self._encoder(pair.model)
        prompt = Prompt("", "", "", tuple(turns), system=system)
        contents: list[str] = []
        for reply in replies:
            contents.append(content_of(encoder, prompt, contents, reply, info.eos_token_ids))
        ids = encoder.encode(dialogue(turns, contents, system)) + common_ids
        ranked = engine.next_tokens(ids, count)
        return self._asked(_answer(ranked, engine, pair, limits.silence_s, "the most probable next tokens")) or None

    def decode(self, pair: Pair, token_ids: tuple[int, ...]) -> str:
        """The text of output ids of this pair's target, for messages."""
        return self._encoder(pair.model).decode(token_ids)

    def restart(self) -> None:
        """Stop the engine that is alive; the next measurement starts one anew."""
        self._stop_engine()

    def close(self) -> None:
        """Stop the engine and the event loop. Safe to call twice."""
        try:
            self._stop_engine()
        finally:
            self._loop.close()

    def _engine(self, pair: Pair, limits: Timeouts) -> tuple[Engine, EngineInfo]:
        if self._loaded is not None and self._loaded[0] == pair:
            return self._loaded[1], self._loaded[2]
        self._stop_engine()
        factory = engine_factory(pair.engine)
        engine = factory.create(in_own_words(pair, factory))
        try:
            info = self._loop.run(_start(engine, pair, limits.start_s))
            check_told(pair, factory, info)
        except BaseException:
            self._loop.run(engine.stop())
            raise
        self._loaded = (pair, engine, info)
        return engine, info

    def _asked(self, asking: Coroutine[Any, Any, T]) -> T:
        """What the engine answers; one that fails, falls silent or is interrupted is stopped: its state is unknown."""
        try:
            return self._loop.run(asking)
        except BaseException:
            self._stop_engine()
            raise

    def _stop_engine(self) -> None:
        if self._loaded is not None:
            engine = self._loaded[1]
            self._loaded = None
            self._loop.run(engine.stop())

    def _encoder(self, model: str) -> LateEncoder:
        if model not in self._encoders:
            self._encoders[model] = LateEncoder(open_checkpoint(model, download=True).folder)
        return self._encoders[model]

    def _tokenized(self, model: str, prompts: tuple[Prompt, ...]) -> Tokenized:
        """The first turns; those of the last measurement are kept, since rounds and pairs ask the same ones again."""
        if self._first_turns is None or self._first_turns[:2] != (model, prompts):
            self._first_turns = None
            made = tokenize_or_recall(self._encoder(model), prompts, self._cache)
            self._first_turns = (model, prompts, made)
            for note in set(made.notes) - self._noted:
                self._noted.add(note)
                warnings.warn(note, SpeedbenchWarning, stacklevel=3)
        return self._first_turns[2]


def _models(pair: Pair, info: EngineInfo) -> ModelIdentity:
    """The pair's models; who renders prompts itself may have another chat template than the target's files."""
    models = model_identity(pair)
    return replace(models, chat_template_sha256=SERVERS_TEMPLATE) if info.templates_prompts else models


def _by_hash(found: Mapping[Answered, T]) -> dict[tuple[str, tuple[int, ...]], T]:
    return {(ids_hash(prompt), output): value for (prompt, output), value in found.items()}


def _with(conversation: Conversation, records: Mapping[tuple[str, tuple[int, ...]], AcceptanceRecord]) -> Conversation:
    turns = (replace(turn, acceptance=records[turn.prompt_sha256, turn.output_ids]) for turn in conversation.turns)
    return replace(conversation, turns=tuple(turns))


async def _start(engine: Engine, pair: Pair, start_s: float) -> EngineInfo:
    try:
        return await asyncio.wait_for(engine.start(), start_s)
    except asyncio.TimeoutError:
        raise EngineError(
            f"The engine {pair.engine} did not start within {start_s:g} s.",
            "Raise the limit with --speedbench-start-timeout, or mend what its last output complains of.",
            _output(engine),
        ) from None


async def _counters(engine: Engine, pair: Pair, silence_s: float) -> SpeculationCounters | None:
    return await _answer(read_counters(engine), engine, pair, silence_s, "its counters")


async def _answer(asked: Awaitable[T], engine: Engine, pair: Pair, silence_s: float, what: str) -> T:
    try:
        return await asyncio.wait_for(asked, silence_s)
    except asyncio.TimeoutError:
        raise EngineError(
            f"The engine {pair.engine} has not answered for {silence_s:g} s when asked for {what}.",
            "It hangs, or is slower than that: raise the limit with --speedbench-silence-timeout.",
            _output(engine),
        ) from None


def _output(engine: Engine) -> str:
    return engine.output() if isinstance(engine, Prints) else ""


def _environment() -> MappingProxyType[str, str]:
    return MappingProxyType(
        {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "pytest-speedbench": metadata.version("pytest-speedbench"),
        }
    )


def _stopped(split: Split, conversations: Sequence[Conversation]) -> Mapping[str, int]:
    """The planned prompts of the categories that have not all of them."""
    held = Counter(conversation.category for conversation in conversations)
    planned = split.counts()
    return MappingProxyType({category: count for category, count in planned.items() if held[category] < count})


class _WithRecords:
    """Shows a stop rule the conversations with the acceptance records that the run will give them.

    Where that is not known before the run's end, it is never stopped: an engine without records of its own that keeps
    counters, and one that gives a record with some requests only.
    """

    def __init__(self, rule: StopRule, draft_length: int, *, keeps_counters: bool) -> None:
        self._rule = rule
        self._draft_length = draft_length
        self._keeps_counters = keeps_counters
        self._shown: dict[str, list[Conversation]] = {}
        self._own_records: set[bool] = set()

    def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
        """Show the conversation that has joined, unless the run's records are not known."""
        if not self._shown:
            self._shown = {category: [] for category in prefixes}
        latest = prefixes[grown][-1]
        self._own_records.add(latest.acceptance is not None)
        if len(self._own_records) > 1 or (self._keeps_counters and latest.acceptance is None):
            return frozenset()
        self._shown[grown].extend(with_stream_records((latest,), self._draft_length))
        return self._rule.look(self._shown, grown)
