"""A real ``llama-server`` on the bundled tiny family: started once, asked through HTTP, compared with what the
transformers engine stored.

Set TEST_LLAMA_SERVER to the program. It runs on a CPU; see docs/llamacpp.md for how to get it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.baselines.schema import PromptEntry, output_sha256
from pytest_speedbench.baselines.store import read_baseline
from pytest_speedbench.config import Drafter, Sampling
from pytest_speedbench.engines.base import Emission, Finish, Request
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.processes import family as processes_of
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.counters import counted
from pytest_speedbench.measure.run import Conversation
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.subset import select
from tests.real.llamacpp.conftest import HEADS, Family
from tests.real.llamacpp.serving import Running

BASELINES = Path(__file__).resolve().parents[3] / "baselines"
LIMIT = 64
LONG = Request("long", (5, 6, 7, 8, 9, 10, 100), Sampling(1500, ignore_eos=True))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMA_API_KEY", "sk-tests-only")
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def running(family: Family, loop: asyncio.AbstractEventLoop) -> Iterator[Running]:
    session = Running.start(family.pair(), loop)
    try:
        yield session
    finally:
        session.stop()


def stored(pair: str) -> dict[str, PromptEntry]:
    entries = read_baseline(BASELINES / pair / "mini.json", record_command="").prompts
    return {entry.id: entry for entry in entries}


def other_tokens(conversations: Sequence[Conversation]) -> list[str]:
    theirs = stored("tiny-draft")
    return [c.question_id for c in conversations if output_sha256(c) != theirs[c.question_id].output_sha256]


def other_counts(conversations: Sequence[Conversation], pair: str) -> list[str]:
    """Of answers that ended well before the limit: llama.cpp drafts no further than that, transformers does.

    Newer builds accept nothing beyond an end-of-sequence token, older ones discard it: the step that ends an answer may
    have accepted less, and every other step has not.
    """
    theirs = stored(pair)
    ended = [c for c in conversations if all(len(turn.output_ids) <= LIMIT - 4 for turn in c.turns)]
    assert len(ended) >= len(conversations) / 2
    return [c.question_id for c in ended if not _same_steps(record_of(c), theirs[c.question_id], len(c.turns))]


def _same_steps(ours: AcceptanceRecord, stored: PromptEntry, turns: int) -> bool:
    assert stored.histogram is not None
    assert stored.proposed_tokens is not None
    theirs = AcceptanceRecord(
        ours.draft_length, stored.histogram, stored.proposed_tokens, stored.undrafted_steps, stored.discarded_tokens
    )
    moved = sum(abs(own - other) for own, other in zip(ours.histogram, theirs.histogram, strict=True)) // 2
    return (
        (ours.decode_steps, ours.proposed_tokens, ours.undrafted_steps, ours.expected_output_tokens())
        == (theirs.decode_steps, theirs.proposed_tokens, theirs.undrafted_steps, theirs.expected_output_tokens())
    ) and moved <= turns


def record_of(conversation: Conversation) -> AcceptanceRecord:
    assert conversation.acceptance is not None
    return conversation.acceptance


def test_what_runs(running: Running) -> None:
    info = running.info
    assert (info.name, info.device, info.max_concurrency) == ("llamacpp", cpu_name(), 2)
    assert (info.vocab_size, info.context_tokens, info.eos_token_ids) == (4096, 2047, (3,))
    assert {
        "spec_type": "draft-simple",
        "spec_draft_n_max": 3,
        "model_ftype": "all F32",
        "dtype": "float32",
    }.items() <= info.args.items()
    assert "sk-tests-only" not in f"{info} {vars(running.engine)} {running.engine.output()}"


@pytest.mark.parametrize("concurrency", [1, 2])
def test_tokens_and_acceptance_are_those_of_the_transformers_engine(running: Running, concurrency: int) -> None:
    prompts = select(load_split("mini"), prompts=44).prompts
    before = running.run(running.engine.counters())
    conversations = running.ask(prompts, concurrency)
    after = running.run(running.engine.counters())
    assert other_tokens(conversations) == []
    assert other_counts(conversations, "tiny-draft") == []

    by_counters, by_requests = counted(before, after, running.engine._pair), pool(map(record_of, conversations))
    assert isinstance(by_counters, AcceptanceRecord)
    assert by_requests is not None
    assert (by_counters.histogram, by_counters.proposed_tokens) == (by_requests.histogram, by_requests.proposed_tokens)


@pytest.mark.parametrize("head", HEADS)
def test_eagle3_heads_are_accepted_as_by_the_transformers_engine(
    family: Family, loop: asyncio.AbstractEventLoop, head: str
) -> None:
    """One request at a time: with several, llama.cpp rejects most of what the heads draft."""
    session = Running.start(family.pair(f"eagle3:bundled:{head}", draft_gguf=str(family.heads[head])), loop)
    try:
        conversations = session.ask(select(load_split("mini"), prompts=22).prompts, 1)
    finally:
        session.stop()
    assert other_tokens(conversations) == []
    assert other_counts(conversations, f"tiny-{head}") == []


def test_the_record_accounts_for_every_token(running: Running) -> None:
    for conversation in running.ask(select(load_split("mini"), prompts=22).prompts, 1):
        for turn in conversation.turns:
            assert turn.acceptance is not None
            assert turn.acceptance.expected_output_tokens() == len(turn.output_ids)
            assert turn.acceptance.decode_steps == len(turn.emissions) - 1


def test_drafts_are_shortened_at_the_limit_and_nothing_is_discarded_there(running: Running) -> None:
    async def ask(limit: int) -> Finish:
        items = [
            item async for item in running.engine.generate(replace(LONG, sampling=Sampling(limit, ignore_eos=True)))
        ]
        assert sum(len(item.token_ids) for item in items if isinstance(item, Emission)) == limit
        finish = items[-1]
        assert isinstance(finish, Finish)
        return finish

    for limit in range(1, 12):
        finish = running.run(ask(limit))
        assert finish.reason == "length"
        assert finish.acceptance is not None
        assert finish.acceptance.discarded_tokens == 0
        assert finish.acceptance.expected_output_tokens() == limit


def test_without_a_drafter_the_tokens_are_the_same(family: Family, loop: asyncio.AbstractEventLoop) -> None:
    plain = Running.start(family.pair(None), loop)
    try:
        conversations = plain.ask(select(load_split("mini"), prompts=22).prompts, 2)
    finally:
        plain.stop()
    assert other_tokens(conversations) == []
    assert all(c.acceptance is None for c in conversations)


def test_prompt_lookup(family: Family, loop: asyncio.AbstractEventLoop) -> None:
    lookup = Running.start(family.pair("ngram"), loop)
    try:
        conversations = lookup.ask(select(load_split("mini"), prompts=22).prompts, 1)
    finally:
        lookup.stop()
    assert other_tokens(conversations) == []
    total = pool(map(record_of, conversations))
    assert total is not None
    assert total.undrafted_steps
    assert total.accepted_tokens


def test_drafts_that_vary_in_length(family: Family, loop: asyncio.AbstractEventLoop) -> None:
    """Drafts below a confidence are not proposed: the verify steps' drafts vary in length."""
    cautious = Running.start(family.pair(spec_draft_p_min=0.6), loop)
    try:
        conversations = cautious.ask(select(load_split("mini"), prompts=22).prompts, 1)
    finally:
        cautious.stop()
    assert other_tokens(conversations) == []
    total = pool(map(record_of, conversations))
    assert total is not None
    assert total.proposed_tokens is not None
    assert total.undrafted_steps
    assert total.verify_steps < total.proposed_tokens < 3 * total.verify_steps


def test_the_same_server_as_an_endpoint_gives_the_same(
    running: Running, family: Family, loop: asyncio.AbstractEventLoop
) -> None:
    pair = replace(family.pair(), endpoint=running.server.url, engine_args={})
    there = Running.start(pair, loop)
    conversations = there.ask(select(load_split("mini"), prompts=11).prompts, 2)
    there.stop()
    assert other_tokens(conversations) == []
    assert running.server.process.exit_code is None, "an endpoint is not ours to stop"


@pytest.mark.parametrize(
    ("drafter", "words"),
    [(None, "decodes with a drafter, and the pair has none"), (5, "a draft length of 3, and the pair has")],
)
def test_an_endpoint_that_drafts_otherwise(
    running: Running, family: Family, loop: asyncio.AbstractEventLoop, drafter: int | None, words: str
) -> None:
    running.ask(select(load_split("mini"), prompts=2).prompts, 1)  # draft positions are on its page after some use
    parsed = None if drafter is None else Drafter.parse("draft_model:bundled:draft", drafter)
    with pytest.raises(EngineError, match=words):
        Running.start(replace(family.pair(), endpoint=running.server.url, engine_args={}, drafter=parsed), loop)


def test_the_wrong_key(
    running: Running, family: Family, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "sk-wrong")
    with pytest.raises(EngineError, match="does not accept the API key"):
        Running.start(replace(family.pair(), endpoint=running.server.url, engine_args={}), loop)


def test_ids_in_are_ids_read(running: Running) -> None:
    for prompt_ids in ((5,), LONG.prompt_ids, (3, 0, 1, 2, 3, 4095), tuple(range(4, 900))):
        assert running.run(running.engine.prompt_as_read(prompt_ids)) == prompt_ids
    running.ask(select(load_split("mini"), prompts=2).prompts, 1)


def test_next_tokens(running: Running) -> None:
    ranked = running.run(running.engine.next_tokens(LONG.prompt_ids, 5))
    assert len(ranked) == 5
    assert [logprob for _, logprob in ranked] == sorted((logprob for _, logprob in ranked), reverse=True)

    async def first() -> tuple[int, ...]:
        async with aclosing(running.engine.generate(replace(LONG, sampling=Sampling(1)))) as items:
            async for item in items:
                assert isinstance(item, Emission)
                return item.token_ids
        return ()

    assert running.run(first()) == (ranked[0][0],)


def test_a_request_that_does_not_fit_is_refused_in_the_servers_words(running: Running) -> None:
    async def ask() -> None:
        async for _ in running.engine.generate(replace(LONG, prompt_ids=(5,) * 3000)):
            pass

    with pytest.raises(EngineError, match=r"HTTP 400: .*context"):
        running.run(ask())


def test_closing_early_frees_the_slot(running: Running) -> None:
    before = running.metric("llamacpp:tokens_predicted_total")

    async def begin() -> None:
        async with aclosing(running.engine.generate(LONG)) as items:
            async for item in items:
                assert isinstance(item, Emission)
                break

    running.run(begin())
    deadline = time.monotonic() + 5
    while (busy := running.metric("llamacpp:requests_processing")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert busy == 0
    assert running.metric("llamacpp:tokens_predicted_total") - before < LONG.sampling.max_output_tokens / 2


def test_a_server_that_is_killed_says_so_and_leaves_no_process(family: Family, loop: asyncio.AbstractEventLoop) -> None:
    doomed = Running.start(family.pair(), loop)
    process = doomed.server.process

    async def ask() -> None:
        async for _ in doomed.engine.generate(LONG):
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(EngineError, match="ended with exit code -9"):
        doomed.run(asyncio.wait_for(ask(), 30))
    doomed.stop()
    assert processes_of(process.pid, process._token) == []


def test_a_start_that_fails_says_why(family: Family, loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(60))
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"did not start, its process ended with exit code 1: .*bad GGUF version"):
        Running.start(family.pair(gguf=str(broken)), loop)
    assert time.monotonic() - began < 30


def test_without_whole_characters_lost_tokens_are_noticed(family: Family, loop: asyncio.AbstractEventLoop) -> None:
    """llama-server streams no token that ends within a character; a server of somebody else's may run so."""
    command = (
        f"{family.binary} --model {family.target} --spec-draft-model {family.draft} --spec-type draft-simple "
        "--spec-draft-n-max {draft_length} --port {port} --threads 1 --parallel 1 --metrics"
    )
    given = Running.start(replace(family.pair(), engine_args={}, command=command), loop)
    try:
        prompt = next(prompt for prompt in load_split("mini").prompts if prompt.question_id == "mini-multilingual-08")
        with pytest.raises(EngineError, match="keeps back those that end within a character"):
            given.ask([prompt], 1)
    finally:
        given.stop()
