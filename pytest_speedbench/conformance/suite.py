"""All promises of one pair, asked one by one by a synchronous caller."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from pytest_speedbench.config import Pair, Timeouts
from pytest_speedbench.conformance.findings import Finding
from pytest_speedbench.conformance.page import facts
from pytest_speedbench.conformance.promises import PROMISES, Promise, hold
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.engines.base import EngineFactory
from pytest_speedbench.measure.loop import BackgroundLoop


class Suite:
    """Holds a pair's adapter to its promises. Close it, or use it as a context manager.

    Args:
        pair: the engine with a target and, for most promises, a drafter.
        timeouts: how long the engine may keep us waiting.
        factory: of the engine; the registered one by default.
    """

    def __init__(self, pair: Pair, timeouts: Timeouts | None = None, factory: EngineFactory | None = None) -> None:
        self._loop = BackgroundLoop()
        self._subject = Subject(pair, timeouts, factory)
        self.findings: list[Finding] = []

    def __enter__(self) -> Suite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hold(self, promise: Promise) -> Finding:
        """Check one promise; it is kept for the page."""
        finding = self._loop.run(hold(promise, self._subject))
        self.findings.append(finding)
        return finding

    def hold_all(self, promises: Sequence[Promise] = PROMISES) -> list[Finding]:
        """Check all of them, in order."""
        return [self.hold(promise) for promise in promises]

    def facts(self) -> dict[str, str]:
        """What is under test, for the page."""
        sides = self._subject.sides
        side = sides.get(self._subject.pair) or next(iter(sides.values()), None)
        return facts(self._subject.pair, side.info if side else None, self._subject.effort if side else None)

    def close(self) -> None:
        """Stop the engine. Safe to call twice."""
        try:
            self._loop.run(self._subject.discard())
        finally:
            self._loop.close()
