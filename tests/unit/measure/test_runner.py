"""Runs of the scripted engine, with the bundled target's tokenizer."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.baselines import AcceptanceKey, acceptance_differences
from pytest_speedbench.config import Drafter, Load, Pair, Sampling, Timeouts
from pytest_speedbench.engines import registry
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.errors import EngineError, SpeedbenchWarning
from pytest_speedbench.measure import tokenized
from pytest_speedbench.measure.driver import Progress
from pytest_speedbench.measure.order import stratified_order
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import Prompt, Split
from tests import scripted_engine
from tests.scripted_engine import ScriptedEngine
from tests.unit.measure.tokenizer_folders import REFUSES_SYSTEM, write_tokenizer

PAIR = Pair("pair", "scripted", "bundled:target", Drafter.parse("ngram"))
PROMPTS = tuple(Prompt(f"{c}-{n}", c, "", (f"{c} {n}?",)) for c in ("coding", "math") for n in range(10))
SPLIT = Split("small", PROMPTS, "s" * 64, len(PROMPTS))
SAMPLING = Sampling(8)


class Counting(ScriptedEngine):
    """Keeps counters beside the records, or without them."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._survivors = [0, 0, 0, 0]
        self.asked: list[str] = []

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        self.asked.append(request.request_id.removesuffix("/1"))
        stream = super().generate(request)
        try:
            async for event in stream:
                if isinstance(event, Finish) and event.acceptance is not None:
                    for length, steps in enumerate(event.acceptance.histogram):
                        for k in range(length + 1):
                            self._survivors[k] += steps
                    yield replace(event, acceptance=None) if self._pair.engine_args.get("unsaid") else event
                else:
                    yield event
        finally:
            await stream.aclose()

    async def counters(self) -> SpeculationCounters | None:
        steps, *accepted = self._survivors
        if self.asked and (others := self._pair.engine_args.get("others")):  # another client's, meanwhile
            steps += int(str(others))
        return SpeculationCounters(steps, 3 * steps, tuple(accepted))


class After:
    """Decides categories at a number of conversations; remembers the sources of the records it saw."""

    def __init__(self, **at: int) -> None:
        self._at = at
        self.sources: list[AcceptanceSource | None] = []

    def look(self, prefixes: Mapping[str, Sequence[Conversation]], grown: str) -> frozenset[str]:
        record = prefixes[grown][-1].acceptance
        self.sources.append(record.source if record is not None else None)
        return frozenset(category for category, at in self._at.items() if len(prefixes[category]) >= at)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedEngine]:
    """The engines made, in order; those told to count do."""
    made: list[ScriptedEngine] = []

    def create(pair: Pair) -> ScriptedEngine:
        made.append(Counting(pair) if pair.engine_args.get("counts") else ScriptedEngine(pair))
        return made[-1]

    entry_point = EntryPoint("scripted", "tests.scripted_engine", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "_installed", lambda: {"scripted": entry_point})
    monkeypatch.setattr(scripted_engine, "create", create)
    return made


@pytest.fixture
def runner(engines: list[ScriptedEngine]) -> Iterator[Runner]:
    with Runner() as runner:
        yield runner
    assert all(engine.stopped and not engine.running for engine in engines)


def ids(conversations: Sequence[Conversation]) -> list[str]:
    return [conversation.question_id for conversation in conversations]


def test_prompts_are_asked_in_random_order_and_kept_in_the_splits(
    runner: Runner, engines: list[ScriptedEngine]
) -> None:
    pair = replace(PAIR, engine_args={"counts": True})
    run = runner.measure(pair, SPLIT, SAMPLING, Load(1), order_seed=7)
    assert isinstance(engines[0], Counting)
    assert engines[0].asked == [prompt.question_id for prompt in stratified_order(PROMPTS, 7)]
    assert ids(run.conversations) == [prompt.question_id for prompt in PROMPTS]
    assert run.complete
    assert run.stopped == {}


def test_the_order_changes_no_answer(runner: Runner) -> None:
    plain = runner.measure(PAIR, SPLIT, SAMPLING, Load(1))
    mixed = runner.measure(PAIR, SPLIT, SAMPLING, Load(3), order_seed=1)
    assert [[(t.output_ids, t.acceptance) for t in c.turns] for c in plain.conversations] == [
        [(t.output_ids, t.acceptance) for t in c.turns] for c in mixed.conversations
    ]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_stopped_run_says_what_it_left_out(runner: Runner, engines: list[ScriptedEngine], concurrency: int) -> None:
    pair = replace(PAIR, engine_args={"counts": True, "slow_s": 0.001})
    run = runner.measure(pair, SPLIT, SAMPLING, Load(concurrency), stop=After(math=3), order_seed=7)
    assert not run.complete
    assert run.stopped == {"math": 10}
    first = [prompt.question_id for prompt in stratified_order(PROMPTS, 7) if prompt.category == "math"][:3]
    assert ids(run.in_category("math")) == sorted(first)
    assert len(run.in_category("coding")) == 10
    assert run.counters is None
    again = runner.measure(pair, SPLIT, SAMPLING, Load(concurrency))
    assert again.complete
    assert again.counters is not None
    assert len(again.conversations) == 20
    assert len(engines) == 1


def test_a_time_out_of_a_test_leaves_nothing_running_beside_the_next_one(
    runner: Runner, engines: list[ScriptedEngine]
) -> None:
    class TimedOutError(BaseException):
        """As pytest-timeout's signal method raises it in the main thread."""

    def end(*_: object) -> None:
        raise TimedOutError

    slow = replace(PAIR, engine_args={"slow_s": 0.05})
    before = signal.signal(signal.SIGALRM, end)

    def time_out(progress: Progress) -> None:
        """Only once requests are under way, and the main thread waits for them."""
        if progress.done == 1:
            signal.setitimer(signal.ITIMER_REAL, 0.02)

    try:
        with pytest.raises(TimedOutError):
            runner.measure(slow, SPLIT, SAMPLING, Load(4), time_out)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (engines[0].running, engines[0].stopped) == (0, 1)
    assert engines[0].cancelled
    assert runner.measure(replace(PAIR, engine_args={}), SPLIT, SAMPLING, Load(1)).complete


def test_a_category_decided_at_its_last_prompt_was_not_stopped(runner: Runner) -> None:
    pair = replace(PAIR, engine_args={"counts": True})
    run = runner.measure(pair, SPLIT, SAMPLING, Load(4), stop=After(math=10, coding=10))
    assert run.complete
    assert run.counters is not None


def test_counters_that_another_client_moved_are_no_record(runner: Runner, engines: list[ScriptedEngine]) -> None:
    pair = replace(PAIR, engine_args={"counts": True, "unsaid": True})
    assert runner.measure(pair, SPLIT, SAMPLING, Load(4)).counters is not None
    with pytest.raises(EngineError, match=r"not of this run alone.*Let nobody else use the engine meanwhile"):
        runner.measure(replace(pair, engine_args={**pair.engine_args, "others": 200}), SPLIT, SAMPLING, Load(4))
    assert engines[-1].stopped


def test_a_run_whose_record_is_in_the_counters_is_not_stopped(runner: Runner) -> None:
    rule = After(math=1, coding=1)
    pair = replace(PAIR, engine_args={"counts": True, "unsaid": True})
    run = runner.measure(pair, SPLIT, SAMPLING, Load(4), stop=rule)
    assert rule.sources == []
    assert run.complete
    assert run.counters is not None
    assert len(run.conversations) == 20


def test_a_rule_sees_the_records_that_the_stream_gives(runner: Runner) -> None:
    rule = After(math=4, coding=2)
    pair = replace(PAIR, engine_args={"silent": "records"})
    run = runner.measure(pair, SPLIT, SAMPLING, Load(4), stop=rule, order_seed=1)
    assert rule.sources == [AcceptanceSource.STREAM] * 6
    assert run.stopped == {"coding": 10, "math": 10}
    assert {c.acceptance.source for c in run.conversations if c.acceptance} == {AcceptanceSource.STREAM}
    assert (len(run.in_category("math")), len(run.in_category("coding"))) == (4, 2)


def test_a_target_alone_can_be_stopped(runner: Runner) -> None:
    run = runner.measure(replace(PAIR, drafter=None), SPLIT, SAMPLING, Load(4), stop=After(math=4))
    assert run.stopped == {"math": 10}


def test_next_tokens_does_not_wait_for_a_start_for_ever(runner: Runner) -> None:
    pair = replace(PAIR, engine_args={"start_s": 60})
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"did not start within 0\.1 s"):
        runner.next_tokens(pair, ("?",), (), (), 2, Timeouts(start_s=0.1))
    assert time.monotonic() - started < 10


def test_next_tokens_does_not_wait_for_an_answer_for_ever(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, engines: list[ScriptedEngine]
) -> None:
    async def hang(*_: object) -> tuple[tuple[int, float], ...]:
        await asyncio.sleep(60)
        return ()

    monkeypatch.setattr(ScriptedEngine, "next_tokens", hang)
    with pytest.raises(EngineError, match=r"not answered for 0\.1 s when asked for the most probable next tokens"):
        runner.next_tokens(PAIR, ("?",), (), (), 2, Timeouts(silence_s=0.1))
    assert engines[0].stopped == 1


def model_folder(folder: Path, template: str) -> str:
    write_tokenizer(folder, template)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(BUNDLED_FOLDER / "target" / name, folder)
    return str(folder)


def test_prompts_are_tokenized_before_the_engine_is_made(
    runner: Runner, engines: list[ScriptedEngine], tmp_path: Path
) -> None:
    pair = replace(PAIR, model=model_folder(tmp_path, REFUSES_SYSTEM))
    refused = replace(SPLIT, prompts=(*PROMPTS, Prompt("q", "math", "", ("?",), system="Be brief.")))
    with pytest.raises(EngineError, match="Turn 1 of 'q'"):
        runner.measure(pair, refused, SAMPLING, Load(1))
    assert engines == []


def test_prompts_asked_again_are_not_tokenized_again(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    first = runner.measure(PAIR, SPLIT, SAMPLING, Load(1))
    with monkeypatch.context() as patch:
        patch.setattr(tokenized, "tokenize", None)
        again = runner.measure(replace(PAIR, drafter=None), replace(SPLIT, prompts=(*PROMPTS,)), SAMPLING, Load(4))
    assert [c.turns[0].prompt_sha256 for c in again.conversations] == [
        c.turns[0].prompt_sha256 for c in first.conversations
    ]
    fewer = runner.measure(PAIR, replace(SPLIT, prompts=PROMPTS[3:]), SAMPLING, Load(1))
    assert fewer.conversations[0].turns[0].prompt_sha256 == first.conversations[3].turns[0].prompt_sha256


def test_a_cached_split_needs_no_tokenizer_and_a_note_is_said_once(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tokenized, "BULK_CHARS", -1)
    with Runner(tmp_path) as runner:
        made = runner.measure(PAIR, SPLIT, SAMPLING, Load(1))
    with monkeypatch.context() as patch, Runner(tmp_path) as runner:
        patch.setattr(TemplateEncoder, "load", None)
        found = runner.measure(PAIR, SPLIT, SAMPLING, Load(4), order_seed=1)
    assert [c.turns[0].prompt_sha256 for c in found.conversations] == [
        c.turns[0].prompt_sha256 for c in made.conversations
    ]
    (tmp_path / "file").touch()
    with Runner(tmp_path / "file") as runner:
        with pytest.warns(SpeedbenchWarning, match="cannot be kept"):
            runner.measure(PAIR, SPLIT, SAMPLING, Load(1))
        runner.measure(PAIR, replace(SPLIT, prompts=PROMPTS[1:]), SAMPLING, Load(1))  # a warning would be an error
    assert len(engines) == 3


def test_a_system_message_is_in_the_prompt_of_every_turn(runner: Runner) -> None:
    plain = Prompt("q", "math", "", ("?", "And?"))
    runs = [
        runner.measure(PAIR, replace(SPLIT, prompts=(prompt,)), SAMPLING, Load(1))
        for prompt in (plain, replace(plain, system="Be brief."))
    ]
    without, with_it = (run.conversations[0].turns for run in runs)
    added = with_it[0].prompt_tokens - without[0].prompt_tokens
    assert added > 3
    assert with_it[1].prompt_tokens - len(with_it[0].output_ids) > without[1].prompt_tokens - len(without[0].output_ids)


def test_prompts_that_a_server_renders_have_its_template(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = runner.measure(PAIR, SPLIT, SAMPLING, Load(1))
    start = ScriptedEngine.start

    async def rendering(engine: ScriptedEngine) -> EngineInfo:
        return replace(await start(engine), templates_prompts=True)

    monkeypatch.setattr(ScriptedEngine, "start", rendering)
    theirs = runner.measure(replace(PAIR, name="theirs"), SPLIT, SAMPLING, Load(1))
    found = acceptance_differences(AcceptanceKey.of(ours), AcceptanceKey.of(theirs))
    assert [(d.field, d.measured) for d in found] == [("chat template", "rendered by the server")]
