"""An engine in a process of its own: what it says comes through, and it never outlives us."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import CountsSpeculation, Emission, Finish, Prints, RanksTokens, Request
from pytest_speedbench.engines.worker.client import WorkerEngine
from pytest_speedbench.errors import EngineError, UnsupportedError
from tests.scripted_engine import ScriptedEngine

T = TypeVar("T")

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def pair(**args: EngineArg) -> Pair:
    return Pair("p", "troubled", "bundled:target", Drafter.parse("ngram"), args)


def engine(**args: EngineArg) -> WorkerEngine:
    return WorkerEngine(pair(**args), "tests.unit.engines.troubled_engine:TroubledEngine")


def request(name: str = "q/1", tokens: int = 20) -> Request:
    return Request(name, (5, 6, 7), Sampling(tokens))


def hosted(work: Callable[[WorkerEngine], Coroutine[Any, Any, T]], **args: EngineArg) -> T:
    """Start an engine, do the work, stop it."""

    async def main() -> T:
        host = engine(**args)
        try:
            await host.start()
            return await work(host)
        finally:
            await host.stop()

    return asyncio.run(main())


async def decode(host: WorkerEngine | ScriptedEngine, asked: Request) -> tuple[tuple[int, ...], Finish]:
    tokens: list[int] = []
    async for event in host.generate(asked):
        if isinstance(event, Emission):
            tokens.extend(event.token_ids)
        else:
            return tuple(tokens), event
    raise AssertionError("no end")


def gone(pid: int, within_s: float = 5.0) -> bool:
    """Whether a process ends in time; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_it_answers_as_the_engine_itself_does() -> None:
    asked = [request(f"q-{n}/1", tokens=10 + n) for n in range(5)]

    async def direct() -> list[object]:
        return [await decode(ScriptedEngine(pair()), one) for one in asked]

    async def together(host: WorkerEngine) -> list[object]:
        return list(await asyncio.gather(*(decode(host, one) for one in asked)))

    assert hosted(together) == asyncio.run(direct())


def test_what_the_engine_can_do_it_can_do() -> None:
    async def work(host: WorkerEngine) -> tuple[object, object]:
        return await host.counters(), await host.next_tokens((40,), 2)

    counters, tokens = hosted(work)
    assert getattr(counters, "accepted_per_position", None) == (3, 2, 1)
    assert tokens == ((40, 0.0), (41, -1.0))
    assert hosted(lambda host: host.prompt_as_read((5, 6))) == (5, 5, 6)
    assert hosted(lambda host: host.margins_nats((4, 6), (1, 2))) == (0.25, 0.5)
    assert hosted(lambda host: host.margins_nats((0, 6), (1, 2))) is None
    assert isinstance(engine(), CountsSpeculation)
    assert isinstance(engine(), RanksTokens)
    assert isinstance(engine(), Prints)


def test_info_and_engine_arguments_come_through_whole() -> None:
    args: dict[str, EngineArg] = {"numbers": [1, 2], "nested": {"a": None, "b": 1.5}, "on": True}

    async def main() -> Any:
        host = engine(**args)
        try:
            return await host.start()
        finally:
            await host.stop()

    info = asyncio.run(main())
    assert dict(info.args) == args
    assert (info.name, info.context_tokens, info.eos_token_ids) == ("scripted", 4096, (0,))


def test_closing_early_cancels_the_request_in_the_engine() -> None:
    async def work(host: WorkerEngine) -> tuple[tuple[int, ...], Finish]:
        stream = host.generate(request("slow/1", tokens=64))
        await anext(stream)
        await stream.aclose()
        return await decode(host, request())

    tokens, finish = hosted(work, slow_s=0.01)
    assert len(tokens) == 20
    assert finish.reason == "length"


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("refuse", r"troubled does not start: The weights are torn\. Mend them\."),
        ("raise", r"troubled does not start: RuntimeError: out of luck\."),
        ("exit", r"troubled does not start: its process ended with exit code 7\."),
    ],
)
def test_a_failed_start_says_why_and_leaves_nothing(trouble: str, words: str, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    async def work(_: WorkerEngine) -> None:
        raise AssertionError("started")

    with pytest.raises(EngineError, match=words):
        hosted(work, trouble=trouble, pids=str(pids))
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_output_is_shown_when_the_start_fails_unexpectedly() -> None:
    async def work(_: WorkerEngine) -> None:
        raise AssertionError("started")

    with pytest.raises(EngineError) as caught:
        hosted(work, trouble="raise")
    assert "loading the weights" in str(caught.value)


@pytest.mark.parametrize("trouble", ["die", "raise later"])
def test_an_engine_that_fails_in_the_middle_is_an_error(trouble: str) -> None:
    async def work(host: WorkerEngine) -> None:
        await decode(host, request())

    words = "ended with exit code 9 while it was needed" if trouble == "die" else "RuntimeError: lost the thread"
    with pytest.raises(EngineError, match=words):
        hosted(work, trouble=trouble)


def test_what_an_engine_cannot_do_is_told_from_a_failure() -> None:
    async def work(host: WorkerEngine) -> None:
        await decode(host, request())

    with pytest.raises(UnsupportedError, match="No engine can"):
        hosted(work, trouble="not able to")


@pytest.mark.parametrize("trouble", ["none", "never stop"])
def test_nothing_is_left_after_the_stop(trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_speedbench.engines.worker.client._STOP_S", 0.5)
    pids = tmp_path / "pids"

    async def work(_: WorkerEngine) -> list[int]:
        return [int(pid) for pid in pids.read_text().split()]

    left = hosted(work, trouble=trouble, pids=str(pids))
    assert len(left) == 3
    assert all(gone(pid) for pid in left)


def test_it_stops_twice_and_unstarted() -> None:
    async def main() -> None:
        host = engine()
        await host.stop()
        await host.start()
        await host.stop()
        await host.stop()

    asyncio.run(main())


@pytest.mark.parametrize("trouble", ["none", "hang", "fall silent"])
def test_it_dies_with_a_client_that_is_killed(trouble: str, tmp_path: Path) -> None:
    """Even while the engine blocks the process with its start or with a step."""
    pids = tmp_path / "pids"
    client = tmp_path / "client.py"
    client.write_text(
        textwrap.dedent(
            f"""
            import asyncio
            from tests.unit.engines.test_worker import decode, engine, request

            async def main():
                host = engine(trouble={trouble!r}, pids={str(pids)!r})
                await host.start()
                await decode(host, request(tokens=64))
                await asyncio.sleep(600)

            asyncio.run(main())
            """
        )
    )
    with subprocess.Popen([sys.executable, str(client)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as process:
        deadline = time.monotonic() + 30
        while not (pids.exists() and pids.read_text().count(" ") == 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    leader, same, _own = (int(pid) for pid in pids.read_text().split())
    assert gone(leader)
    assert gone(same)
    for pid in pids.read_text().split():
        if not gone(int(pid), within_s=0):
            os.kill(int(pid), signal.SIGKILL)


def test_an_interpreter_that_does_not_start_is_named() -> None:
    async def main() -> None:
        host = WorkerEngine(Pair("p", "troubled", "m", python="/no/such/python"), "module:engine")
        try:
            await host.start()
        finally:
            await host.stop()

    with pytest.raises(EngineError, match=r"The interpreter '/no/such/python' does not start: No such file"):
        asyncio.run(main())
