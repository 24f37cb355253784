"""The tests' side: an engine that lives in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator, Callable

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.processes import EngineProcess
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
    PlainPair,
    PlainRequest,
    Reading,
    Start,
    Started,
    Stop,
    ToClient,
    read_at_client,
    send,
)
from pytest_speedbench.errors import EngineError, UnsupportedError

_HOST = "pytest_speedbench.engines.worker.host"
_STOP_S = 10.0
"""vLLM gives its own processes 5 s."""
_EXIT_S = 2.0
_EXPLAINED_LINES = 5000
_Question = AskCounters | AskNextTokens | AskReading | AskMargins
_NO_WORD = "Its last output says why; a kill by the system for want of memory leaves no word."


class WorkerEngine:
    """An engine hosted by another process, which ends with this one whatever happens.

    Args:
        pair: what to load; ``pair.python`` is the interpreter that hosts it.
        factory: ``module:attribute`` of a callable that makes the engine from the pair, imported there.
        explain: reads what the engine raised or printed and returns the cause in words, or nothing.
    """

    def __init__(self, pair: Pair, factory: str, *, explain: Callable[[str], str] | None = None) -> None:
        self._pair = pair
        self._factory = factory
        self._explain = explain or (lambda _: "")
        self._process: EngineProcess | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Queue[ToClient | None]] = {}
        self._keys = 0

    async def start(self) -> EngineInfo:
        """Start the process and the engine in it.

        Raises:
            EngineError: the interpreter does not start, lacks this package, or the engine refuses; what it printed last
                is in it.
        """
        ours, theirs = socket.socketpair()
        command = [self._pair.python or sys.executable, "-m", _HOST, str(theirs.fileno())]
        try:
            self._process = EngineProcess.start(command, pass_fds=[theirs.fileno()])
        except OSError as error:
            ours.close()
            raise EngineError(
                f"The interpreter {command[0]!r} does not start: {error.strerror}.",
                "Give the python of the engine's environment.",
            ) from None
        finally:
            theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        send(self._writer, Start(PROTOCOL, self._factory, PlainPair.of(self._pair)))
        answer = await read_at_client(reader)
        if isinstance(answer, Started):
            self._listener = asyncio.create_task(self._listen(reader))
            return answer.info.info()
        if isinstance(answer, Failed):
            raise self._start_error(answer.problem, answer.remedy)
        code = await self._process.wait()
        raise self._start_error(f"its process ended with exit code {code}", "")

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Have a request decoded.

        Raises:
            EngineError: the engine failed or its process ended.
        """
        plain = PlainRequest(request.request_id, request.prompt_ids, request.sampling)
        key, answers = await self._ask()
        finished = False
        try:
            self._send(Generate(key, plain))
            while not finished:
                answer = await self._next(answers)
                if isinstance(answer, Emitted):
                    yield Emission(answer.token_ids, answer.at_s)
                elif isinstance(answer, Finished) and answer.finish is not None:
                    finished = True
                    yield answer.finish
        finally:
            if not finished and self._alive:
                self._send(Cancel(key))
            del self._answers[key]

    async def counters(self) -> SpeculationCounters | None:
        """The engine's counters, if it has any."""
        answer = await self._answer(AskCounters)
        return answer.counters if isinstance(answer, Counters) else None

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The most probable next tokens.

        Raises:
            EngineError: this engine cannot say.
        """
        answer = await self._answer(lambda key: AskNextTokens(key, prompt_ids, count))
        return answer.tokens if isinstance(answer, NextTokens) else ()

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The prompt by the engine's own account; ``None`` if it does not say."""
        answer = await self._answer(lambda key: AskReading(key, prompt_ids))
        return answer.prompt_ids if isinstance(answer, Reading) else None

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...] | None:
        """How sure the target was of every output token; ``None`` if the engine does not say."""
        answer = await self._answer(lambda key: AskMargins(key, prompt_ids, output_ids))
        return answer.margins_nats if isinstance(answer, Margins) else None

    async def stop(self) -> None:
        """End the engine and its processes: asked first, killed if it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if self._alive:
                self._send(Stop())
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(process.wait(), _STOP_S)
        finally:
            if self._listener is not None:
                self._listener.cancel()
                self._listener = None
            await process.stop(grace_s=0 if process.exit_code is not None else 1.0)
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def output(self) -> str:
        """What the engine printed last."""
        return self._process.output() if self._process is not None else ""

    @property
    def _alive(self) -> bool:
        return self._listener is not None and not self._listener.done()

    async def _ask(self) -> tuple[int, asyncio.Queue[ToClient | None]]:
        if not self._alive:
            raise await self._gone()
        self._keys += 1
        answers: asyncio.Queue[ToClient | None] = asyncio.Queue()
        self._answers[self._keys] = answers
        return self._keys, answers

    def _send(self, message: Generate | Cancel | _Question | Stop) -> None:
        if self._writer is not None:
            send(self._writer, message)

    async def _answer(self, question: Callable[[int], _Question]) -> ToClient:
        """Ask what has one answer; ``question`` makes the message from its key."""
        key, answers = await self._ask()
        try:
            self._send(question(key))
            return await self._next(answers)
        finally:
            del self._answers[key]

    async def _next(self, answers: asyncio.Queue[ToClient | None]) -> ToClient:
        answer = await answers.get()
        if answer is None:
            raise await self._gone()
        if isinstance(answer, Failed) and answer.unsupported:
            raise UnsupportedError(answer.problem, answer.remedy)
        if isinstance(answer, Failed):
            raise EngineError(
                f"The engine {self._pair.engine} failed: {self._cause(answer.problem, answer.remedy)}.",
                answer.remedy or _NO_WORD,
                self.output(),
            )
        return answer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while (message := await read_at_client(reader)) is not None:
                if not isinstance(message, Started) and message.key in self._answers:
                    self._answers[message.key].put_nowait(message)
        finally:
            for answers in self._answers.values():
                answers.put_nowait(None)

    async def _gone(self) -> EngineError:
        code = None
        if self._process is not None:
            # The socket closes a little before the system knows the exit code.
            with contextlib.suppress(asyncio.TimeoutError):
                code = await asyncio.wait_for(self._process.wait(), _EXIT_S)
        how = "was stopped" if code is None else f"ended with exit code {code}"
        return EngineError(
            f"The process of the engine {self._pair.engine} {how} while it was needed.",
            _NO_WORD,
            self.output(),
        )

    def _cause(self, problem: str, remedy: str) -> str:
        """The problem itself where somebody knew its remedy, else what it or the output says of an exception."""
        cause = ""
        if not remedy and self._process is not None:
            # It may be far above the last lines, which other processes print when they follow it down.
            cause = self._explain(problem) or self._explain(self._process.output(_EXPLAINED_LINES))
        return (cause or problem).rstrip(".")

    def _start_error(self, problem: str, remedy: str) -> EngineError:
        return EngineError(
            f"The engine {self._pair.engine} does not start: {self._cause(problem, remedy)}.",
            remedy or "Mend what it complains of; its last output is below.",
            "" if remedy else self.output(),
        )
