"""A scheduler of pytest-xdist that keeps the tests that measure together. Imported only where pytest-xdist is."""

from __future__ import annotations

from functools import cached_property

from xdist.scheduler import LoadGroupScheduling

from pytest_speedbench.workers import told_by_workers


class MeasuringInOneWorker(LoadGroupScheduling):  # type: ignore[misc]  # it has no types
    """Balances the load, groups what ``xdist_group`` groups, and sends all tests that measure to one worker."""

    @cached_property
    def _measuring(self) -> frozenset[str]:
        return told_by_workers(self.config)

    def _split_scope(self, nodeid: str) -> str:
        return "speedbench" if nodeid in self._measuring else super()._split_scope(nodeid)
