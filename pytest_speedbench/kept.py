"""What a session keeps with each of its tests until the test ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench.errors import SpeedbenchError, VerdictError
from pytest_speedbench.on_terminal import in_words
from pytest_speedbench.options import FIXTURE, REPORT_ATTRIBUTE
from pytest_speedbench.report.entries import Entry, MeasurementEntry, to_plain
from pytest_speedbench.report.junit import figures

_KEPT = pytest.StashKey["list[Entry]"]()
_ASKED = pytest.StashKey[bool]()
_VERDICT = pytest.StashKey["VerdictError | None"]()


def open_test(item: pytest.Item, verdict: VerdictError | None) -> None:
    """Begin to keep what a test measures, reads and stages.

    Args:
        item: the test.
        verdict: what it failed with when it ran before in this session.
    """
    item.stash[_KEPT] = []
    item.stash[_VERDICT] = verdict


def earlier_verdict(item: pytest.Item) -> VerdictError | None:
    """What a test failed with when it ran before in this session."""
    return item.stash.get(_VERDICT, None)


def record(item: pytest.Item, entry: Entry) -> None:
    """Keep an entry for the summary, and a measurement's figures as properties of the test for other reports."""
    item.stash[_KEPT].append(entry)
    if isinstance(entry, MeasurementEntry):
        item.user_properties.extend(figures(entry))


def finish_report(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Give the report its entries; show a user's mistake or a regression as words, not as a traceback.

    The last report of every test that asked for the fixture has entries, if only none, so that whoever reads reports
    can tell these tests from others.
    """
    if report.failed and call.excinfo and isinstance(call.excinfo.value, (SpeedbenchError, VerdictError)):
        report.longrepr = in_words(item, str(call.excinfo.value))
    if call.when == "teardown" and (_KEPT in item.stash or FIXTURE in getattr(item, "fixturenames", ())):
        setattr(report, REPORT_ATTRIBUTE, [to_plain(entry) for entry in item.stash.get(_KEPT, [])])


def asked_otherwise(config: pytest.Config) -> None:
    """Note that an engine is asked in a way of the test's own, which makes no measurement to be shown."""
    config.stash[_ASKED] = True


def was_asked_otherwise(config: pytest.Config) -> bool:
    """Whether :func:`asked_otherwise` was noted."""
    return config.stash.get(_ASKED, False)


def shown(path: Path, root: Path) -> str:
    """A path as the user reads it: relative to the project's root if it lies below."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
