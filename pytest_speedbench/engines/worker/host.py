"""The engine's side: runs an engine in this process for a client at the other end of a socket.

Started as ``python -m pytest_speedbench.engines.worker.host FD``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, cast

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import CountsSpeculation, Emission, Engine, RanksTokens, ReadsBack, StatesMargins
from pytest_speedbench.engines.processes import OWNER_VARIABLE, kill_family
from pytest_speedbench.engines.worker.messages import (
    PROTOCOL,
    AskCounters,
    AskMargins,
    AskNextTokens,
    AskReading,
    Cancel,
    Counters,
    Emitted,
    Failed,
    Finished,
    Generate,
    Margins,
    NextTokens,
    PlainInfo,
    Reading,
    Start,
    Started,
    Stop,
    read_at_host,
    send,
)
from pytest_speedbench.errors import EngineError, UnsupportedError

_POLL_S = 0.02
_KILL_WAIT_S = 3.0


def main(arguments: list[str]) -> None:
    """Serve the client at the socket whose file descriptor is the only argument."""
    connection = socket.socket(fileno=int(arguments[0]))
    # A descriptor of its own: the event loop may close the other one before the thread has looked at it.
    threading.Thread(target=_die_with_client, args=(os.dup(connection.fileno()),), daemon=True).start()
    asyncio.run(_serve(connection))
    # Engines leave threads behind that would keep the interpreter alive.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _die_with_client(descriptor: int) -> None:
    """End the whole family as soon as the client is gone, even while the engine blocks everything else."""
    watch = select.poll()
    watch.register(descriptor, select.POLLHUP)
    watch.poll()
    _kill_family()


def _kill_family() -> None:
    deadline = time.monotonic() + _KILL_WAIT_S
    while kill_family(os.getsid(0), os.environ[OWNER_VARIABLE]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    message = await read_at_host(reader)
    if not isinstance(message, Start):
        return
    host = _Host(writer)
    engine = await host.start(message)
    if engine is not None and not await host.answer(engine, reader):
        _kill_family()
    await host.stop()
    with contextlib.suppress(ConnectionError):
        await writer.drain()


class _Host:
    """One engine and the requests under way."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._engine: Engine | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def start(self, message: Start) -> Engine | None:
        """Make and start the engine; ``None`` if it refuses, which the client is told."""
        if message.protocol != PROTOCOL:
            self._refuse(
                f"The engine's environment has another version of pytest-speedbench (protocol {PROTOCOL}, the tests' "
                f"{message.protocol}).",
                "Install the same version in both environments.",
            )
            return None
        try:
            module, _, attribute = message.factory.partition(":")
            factory = cast("Callable[[Pair], Engine]", getattr(importlib.import_module(module), attribute))
            self._engine = factory(message.pair.pair())
            info = await self._engine.start()
        except EngineError as error:
            self._refuse(error.problem, error.remedy)
            return None
        except Exception as error:  # whatever an engine raises becomes words at the other end
            self._refuse(f"{type(error).__name__}: {error}", "")
            return None
        send(self._writer, Started(PlainInfo.of(info)))
        return self._engine

    def _refuse(self, problem: str, remedy: str) -> None:
        send(self._writer, Failed(None, problem, remedy))

    async def answer(self, engine: Engine, reader: asyncio.StreamReader) -> bool:
        """Do what the client asks until it says stop; false if it is gone without a word."""
        while (message := await read_at_host(reader)) is not None:
            if isinstance(message, Stop):
                return True
            if isinstance(message, Generate):
                self._begin(message.key, self._generate(engine, message))
            elif isinstance(message, Cancel):
                if message.key in self._tasks:
                    self._tasks[message.key].cancel()
            elif isinstance(message, AskCounters):
                self._begin(message.key, self._count(engine, message))
            elif isinstance(message, AskNextTokens):
                self._begin(message.key, self._rank(engine, message))
            elif isinstance(message, AskReading):
                self._begin(message.key, self._read_back(engine, message))
            elif isinstance(message, AskMargins):
                self._begin(message.key, self._margins(engine, message))
        return False

    async def stop(self) -> None:
        """Cancel what is under way and stop the engine."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._engine is not None:
            await self._engine.stop()

    def _begin(self, key: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._report(key, work))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _report(self, key: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            send(self._writer, Finished(key, None))
            raise
        except EngineError as error:
            send(self._writer, Failed(key, error.problem, error.remedy, isinstance(error, UnsupportedError)))
        except Exception as error:  # as above
            send(self._writer, Failed(key, f"{type(error).__name__}: {error}", ""))

    async def _generate(self, engine: Engine, message: Generate) -> None:
        async with aclosing(engine.generate(message.request.request())) as stream:
            async for event in stream:
                if isinstance(event, Emission):
                    send(self._writer, Emitted(message.key, event.token_ids, event.at_s))
                else:
                    send(self._writer, Finished(message.key, event))
                await self._writer.drain()

    async def _count(self, engine: Engine, message: AskCounters) -> None:
        counters = await engine.counters() if isinstance(engine, CountsSpeculation) else None
        send(self._writer, Counters(message.key, counters))

    async def _rank(self, engine: Engine, message: AskNextTokens) -> None:
        if not isinstance(engine, RanksTokens):
            raise EngineError("This engine does not say how likely its tokens are.", "Use one that does.")
        tokens = await engine.next_tokens(message.prompt_ids, message.count)
        send(self._writer, NextTokens(message.key, tokens))

    async def _read_back(self, engine: Engine, message: AskReading) -> None:
        ids = await engine.prompt_as_read(message.prompt_ids) if isinstance(engine, ReadsBack) else None
        send(self._writer, Reading(message.key, ids))

    async def _margins(self, engine: Engine, message: AskMargins) -> None:
        said = (
            await engine.margins_nats(message.prompt_ids, message.output_ids)
            if isinstance(engine, StatesMargins)
            else None
        )
        send(self._writer, Margins(message.key, said))


if __name__ == "__main__":
    main(sys.argv[1:])
