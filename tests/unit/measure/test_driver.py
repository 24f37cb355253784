from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling
from pytest_speedbench.engines.base import Emission, Finish, Request
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.chat_template import Message
from pytest_speedbench.measure.driver import Progress, measure
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.splits import Prompt
from tests.scripted_engine import ScriptedEngine

PAIR = Pair("pair", "scripted", "model", Drafter(DrafterMethod.NGRAM))


class Letters:
    """Encodes roles and letters; remembers the conversations it rendered."""

    def __init__(self) -> None:
        self.rendered: list[list[Message]] = []

    def render(self, messages: Sequence[Message]) -> str:
        return "".join(message["content"] for message in messages)

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        self.rendered.append(list(messages))
        return tuple(map(ord, self.render(messages)))

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:  # noqa: ARG002 - it has none
        return "".join(map(chr, token_ids))


def prompts(count: int, turns: int = 1) -> list[Prompt]:
    return [Prompt(f"math-{n}", "math", "", tuple(f"q{n}.{t}" for t in range(turns))) for n in range(count)]


def run(
    asked: Sequence[Prompt],
    *,
    engine: ScriptedEngine | None = None,
    encoder: Letters | None = None,
    concurrency: int = 1,
    seen: list[Progress] | None = None,
    context_tokens: int = 4096,
    max_concurrency: int | None = None,
    templates_prompts: bool = False,
    timed: bool = True,
    sampling: Sampling | None = None,
) -> tuple[Conversation, ...]:
    async def go() -> tuple[Conversation, ...]:
        used = engine or ScriptedEngine(PAIR)
        started = replace(
            await used.start(),
            context_tokens=context_tokens,
            max_concurrency=max_concurrency,
            templates_prompts=templates_prompts,
            timed=timed,
        )
        on_progress = seen.append if seen is not None else None
        limit, load = sampling or Sampling(8), Load(concurrency)
        return await measure(used, started, encoder or Letters(), asked, limit, load, on_progress)

    return asyncio.run(go())


def test_every_prompt_is_asked_and_kept_in_order() -> None:
    asked = prompts(7)
    seen: list[Progress] = []
    found = run(asked, concurrency=3, seen=seen)
    assert [c.question_id for c in found] == [p.question_id for p in asked]
    assert [progress.done for progress in seen] == list(range(1, 8))
    for conversation in found:
        (turn,) = conversation.turns
        assert len(turn.output_ids) == 8 == sum(tokens for _, tokens in turn.emissions)
        assert turn.start_s <= turn.first_token_s <= turn.last_token_s
        assert turn.acceptance is not None
        assert turn.acceptance.expected_output_tokens() == 8


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_the_loop_is_closed_at_the_concurrency(concurrency: int) -> None:
    engine = ScriptedEngine(replace(PAIR, engine_args={"slow_s": 0.001}))
    run(prompts(10), engine=engine, concurrency=concurrency)
    assert engine.most_running == concurrency


@pytest.mark.parametrize(("max_concurrency", "at_once"), [(None, 10), (2, 2)])
def test_what_is_not_decoded_is_not_paced(max_concurrency: int | None, at_once: int) -> None:
    engine = ScriptedEngine(replace(PAIR, engine_args={"slow_s": 0.001}))
    run(prompts(10), engine=engine, concurrency=1, max_concurrency=max_concurrency, timed=False)
    assert engine.most_running == at_once


def test_results_do_not_depend_on_the_concurrency() -> None:
    def essence(found: tuple[Conversation, ...]) -> list[object]:
        return [(t.output_ids, t.prompt_sha256, t.acceptance) for c in found for t in c.turns]

    assert essence(run(prompts(9, 2))) == essence(run(prompts(9, 2), concurrency=4))


def test_replies_are_fed_back() -> None:
    encoder = Letters()
    (conversation,) = run(prompts(1, turns=3), encoder=encoder)
    first, second, _ = (encoder.decode(turn.output_ids) for turn in conversation.turns)
    last = encoder.rendered[-1]
    assert [message["role"] for message in last] == ["user", "assistant", "user", "assistant", "user"]
    assert [message["content"] for message in last] == ["q0.0", first, "q0.1", second, "q0.2"]


class Listening(ScriptedEngine):
    """Remembers the messages of its requests."""

    def __init__(self) -> None:
        super().__init__(PAIR)
        self.heard: list[tuple[tuple[str, str], ...]] = []

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        self.heard.append(request.messages)
        async for event in super().generate(request):
            yield event


@pytest.mark.parametrize("templates_prompts", [True, False])
def test_only_who_renders_prompts_is_given_the_messages(templates_prompts: bool) -> None:
    engine, encoder = Listening(), Letters()
    asked = [replace(prompts(1, turns=2)[0], system="Be brief.")]
    (conversation,) = run(asked, engine=engine, encoder=encoder, templates_prompts=templates_prompts)
    reply = encoder.decode(conversation.turns[0].output_ids)
    first = (("system", "Be brief."), ("user", "q0.0"))
    second = (*first, ("assistant", reply), ("user", "q0.1"))
    assert engine.heard == ([first, second] if templates_prompts else [(), ()])


class Parting(Listening):
    """Says which part of its output is the answer, as a server with a reasoning parser does."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = answer

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        async for event in super().generate(request):
            yield replace(event, answer=self.answer) if isinstance(event, Finish) else event


def test_an_answer_that_was_parted_from_its_thought_goes_back_alone() -> None:
    engine = Parting("It is seven.")
    run(prompts(1, turns=2), engine=engine, templates_prompts=True)
    assert engine.heard[-1] == (("user", "q0.0"), ("assistant", "It is seven."), ("user", "q0.1"))
    with pytest.raises(EngineError, match=r"^Turn 1 of 'math-0': The server took all of the reply for a thought"):
        run(prompts(1, turns=2), engine=Parting(""), templates_prompts=True)
    assert len(run(prompts(1), engine=Parting(""), templates_prompts=True)) == 1


def test_a_failing_engine_stops_the_others() -> None:
    engine = ScriptedEngine(replace(PAIR, engine_args={"fail_at": 3, "slow_s": 0.05}))
    with pytest.raises(EngineError, match="broke down"):
        run(prompts(9), engine=engine, concurrency=3)
    assert len(engine.cancelled) == 2
    assert engine.running == 0


def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_asked() -> None:
    engine = ScriptedEngine(PAIR)
    long = Prompt("long", "math", "", ("x" * 100,))
    with pytest.raises(EngineError, match=r"Turn 1 of 'long' needs 108 tokens \(100 of prompt and 8 of output\)"):
        run([*prompts(2), long], engine=engine, context_tokens=107)
    assert engine.most_running == 0


def test_a_later_turn_that_cannot_fit_is_refused_before_anything_is_asked() -> None:
    engine = ScriptedEngine(PAIR)
    long = Prompt("long", "math", "", ("hi", "x" * 50, "y" * 50, "z" * 50))
    with pytest.raises(EngineError, match=r"Turn 3 of 'long' needs 102 tokens or more \(94 of prompt and 8 of output"):
        run([*prompts(2), long], engine=engine, context_tokens=101)
    assert engine.most_running == 0
    assert len(run([long], context_tokens=4 * 8 + 152)) == 1
    # Replies are of unknown length: that they do not fit is known when they are there.
    with pytest.raises(EngineError, match=r"Turn 4 of 'long' needs 184 tokens \(176 of prompt and 8 of output\)"):
        run([long], engine=engine, context_tokens=4 * 8 + 151)
    assert engine.most_running == 1


def test_replies_that_go_on_to_the_limit_count() -> None:
    engine = ScriptedEngine(PAIR)
    asked = [Prompt("long", "math", "", ("hi", "x", "y"))]
    sampling = Sampling(100, ignore_eos=True)
    with pytest.raises(EngineError, match=r"Turn 3 of 'long' needs 27\d tokens or more"):
        run(asked, engine=engine, context_tokens=270, sampling=sampling)
    assert engine.most_running == 0
    assert len(run(asked, context_tokens=304, sampling=sampling)) == 1


def test_more_concurrency_than_the_engine_has_is_refused() -> None:
    with pytest.raises(EngineError, match="at most 1 request at a time, but a concurrency of 2"):
        run(prompts(2), concurrency=2, max_concurrency=1)


def test_cancelling_cancels_the_requests() -> None:
    engine = ScriptedEngine(replace(PAIR, engine_args={"slow_s": 10}))

    async def go() -> None:
        info = await engine.start()
        task = asyncio.ensure_future(measure(engine, info, Letters(), prompts(4), Sampling(8), Load(2)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert len(engine.cancelled) == 2
    assert engine.running == 0


def test_a_record_that_is_not_of_the_tokens_ends_the_measurement() -> None:
    class Boasting(ScriptedEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
            async for event in super().generate(request):
                if isinstance(event, Finish):
                    assert event.acceptance is not None
                    more = tuple(3 * steps for steps in event.acceptance.histogram)
                    record = replace(event.acceptance, histogram=more, proposed_tokens=None, discarded_tokens=None)
                    yield replace(event, acceptance=record)
                else:
                    yield event

    with pytest.raises(EngineError, match="scripted says of the request math-0/1 that"):
        run(prompts(3), engine=Boasting(PAIR))
