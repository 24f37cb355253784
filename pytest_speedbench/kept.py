"""What a session keeps with each of its tests until the test ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench.baselines import Baseline, write_baseline
from pytest_speedbench.errors import SpeedbenchError, VerdictError
from pytest_speedbench.on_terminal import in_words
from pytest_speedbench.options import REPORT_ATTRIBUTE
from pytest_speedbench.report.entries import BaselineEntry, Entry, MeasurementEntry, to_plain
from pytest_speedbench.report.junit import figures

_KEPT = pytest.StashKey["Kept"]()


class Kept:
    """What one test measured, and the baselines it would write if it passes, each with a note for the summary."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.staged: list[tuple[Path, Baseline, str]] = []
        self.passed = False

    @classmethod
    def open(cls, item: pytest.Item) -> Kept:
        """Begin to keep what a test measures."""
        item.stash[_KEPT] = cls()
        return item.stash[_KEPT]

    @staticmethod
    def of(item: pytest.Item) -> Kept:
        """What is kept of a test that was opened."""
        return item.stash[_KEPT]

    def write_staged(self, item: pytest.Item, root: Path) -> None:
        """Write the baselines that a passing test staged."""
        if self.passed:
            for folder, baseline, note in self.staged:
                path = write_baseline(folder, baseline)
                self.entries.append(BaselineEntry(item.nodeid, shown(path, root), "written", note))


def record(item: pytest.Item, entry: Entry) -> None:
    """Keep an entry for the summary, and a measurement's figures as properties of the test for other reports."""
    Kept.of(item).entries.append(entry)
    if isinstance(entry, MeasurementEntry):
        item.user_properties.extend(figures(entry))


def finish_report(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Give the report its entries; show a user's mistake or a regression as words, not as a traceback."""
    if report.failed and call.excinfo and isinstance(call.excinfo.value, (SpeedbenchError, VerdictError)):
        report.longrepr = in_words(item, str(call.excinfo.value))
    kept = item.stash.get(_KEPT, None)
    if kept is None:
        return
    if call.when == "call":
        kept.passed = report.passed
    if call.when == "teardown":
        setattr(report, REPORT_ATTRIBUTE, [to_plain(entry) for entry in kept.entries])


def shown(path: Path, root: Path) -> str:
    """A path as the user reads it: relative to the project's root if it lies below."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
