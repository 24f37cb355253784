from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from pytest_speedbench.measure.loop import BackgroundLoop


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.close()


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def test_results_and_errors_come_back(loop: BackgroundLoop) -> None:
    async def fail() -> None:
        raise ValueError("no")

    assert loop.run(add(1, 2)) == 3
    with pytest.raises(ValueError, match="no"):
        loop.run(fail())
    assert loop.run(add(3, 4)) == 7


def test_it_can_be_called_while_another_loop_runs(loop: BackgroundLoop) -> None:
    async def outer() -> int:
        return loop.run(add(1, 1))

    assert asyncio.run(outer()) == 2


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C raises, even where these tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_cancels_and_waits_for_the_clean_up(loop: BackgroundLoop) -> None:
    cleaned = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()

    main = threading.main_thread()
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main.ident or 0, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(endless())
    assert cleaned.is_set()


class _TimedOutError(BaseException):
    """As pytest raises it to end a test: no exception that a test may catch by mistake."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """A time-out of the test in 0.2 s, raised where the main thread is: so pytest-timeout's signal method does it."""

    def end(*_: object) -> None:
        raise _TimedOutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
def test_a_time_out_of_the_test_cancels_and_waits_for_the_clean_up(loop: BackgroundLoop) -> None:
    seen = []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            seen.append("cleaned")

    with pytest.raises(_TimedOutError):
        loop.run(endless())
    assert seen == ["cleaned"]
    assert loop.run(add(1, 1)) == 2


@pytest.mark.usefixtures("alarm")
def test_a_clean_up_that_does_not_end_is_left_behind() -> None:
    loop = BackgroundLoop(clean_up_s=0.1)
    release = threading.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.to_thread(release.wait)

    with pytest.raises(_TimedOutError):
        loop.run(stubborn())
    release.set()
    loop.close()


def test_closing_twice_and_using_again(loop: BackgroundLoop) -> None:
    assert loop.run(add(1, 1)) == 2
    loop.close()
    loop.close()
    assert loop.run(add(2, 2)) == 4
