"""An event loop in a thread of its own, so that a measurement can be called from anywhere, even from async tests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_CLEAN_UP_S = 30.0


class BackgroundLoop:
    """Runs coroutines for a synchronous caller. Started on first use.

    Args:
        clean_up_s: how long a cancelled coroutine may take to clean up, in seconds.
    """

    def __init__(self, clean_up_s: float = _CLEAN_UP_S) -> None:
        self._clean_up_s = clean_up_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end and return the result.

        Whatever is raised here while it waits, such as ``KeyboardInterrupt`` by Ctrl-C or the failure by which a
        time-out of the test ends it, cancels the coroutine and goes on once it has cleaned up; a clean-up that does not
        end is left behind after 30 s.
        """
        loop = self._started()
        outcome: concurrent.futures.Future[asyncio.Task[T]] = concurrent.futures.Future()
        launched: concurrent.futures.Future[asyncio.Task[T]] = concurrent.futures.Future()

        def launch() -> None:
            if launched.done():
                return
            task = loop.create_task(coroutine)
            task.add_done_callback(outcome.set_result)
            launched.set_result(task)

        try:
            loop.call_soon_threadsafe(launch)
            done = outcome.result()
        except BaseException:
            # It may come before, within or after the call above: launch does nothing the second time.
            loop.call_soon_threadsafe(launch)
            loop.call_soon_threadsafe(lambda: launched.result().cancel())
            concurrent.futures.wait([outcome], self._clean_up_s)
            raise
        return done.result()

    def close(self) -> None:
        """Stop the thread. Safe to call twice."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="speedbench-loop", daemon=True)
            self._thread.start()
        return self._loop
