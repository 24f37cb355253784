"""The end of a session that stages files: all of them are put in their places, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_speedbench.kept import shown
from pytest_speedbench.places import ChangedError, Draft, put_in_place
from pytest_speedbench.report.entries import StagedEntry
from pytest_speedbench.staging import CLASH_REMEDY, changed, chosen, clash, discard

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a session's files.

    Attributes:
        lines: what is to be said, one line each.
        written: whether they were written.
        failed: whether they should have been and could not.
    """

    lines: list[str]
    written: bool
    failed: bool = False


def finish_session(
    session: pytest.Session,
    staged: Sequence[dict[str, Any]],
    passed: Sequence[dict[str, Any]],
    failed: Sequence[str],
    lost: str,
) -> Update:
    """Write the staged files if the session may; remove every draft. What should be written and cannot be fails it.

    Args:
        session: at its end.
        staged: all of its staged entries, as plain data.
        passed: those of them that tests staged which passed.
        failed: tests of speedbench that failed.
        lost: what became of workers whose tests are not known; empty if nothing did.
    """
    entries = [_staged(plain) for plain in staged]
    try:
        unfinished = lost or _unfinished(session)
        if unfinished:
            return _nothing(f"the session did not run to its end ({unfinished})")
        if failed:
            return _nothing(f"{_named(failed)} did not pass, and a session writes all of its files or none")
        update = _write(session.config.rootpath, [_staged(plain) for plain in passed])
        if update.failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return update
    finally:
        discard(entries)


def _unfinished(session: pytest.Session) -> str:
    if session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return "it was interrupted"
    return str(session.shouldfail or session.shouldstop or "")


def _staged(plain: dict[str, Any]) -> StagedEntry:
    return msgspec.convert(plain, StagedEntry)


def _write(root: Path, staged: Sequence[StagedEntry]) -> Update:
    if not staged:
        return _nothing("no test that measured them passed (skipped and xfailed tests write none)")
    places: dict[str, list[StagedEntry]] = {}
    for entry in staged:
        places.setdefault(entry.path, []).append(entry)
    kept = [chosen(entries) for _, entries in sorted(places.items())]
    problem = _refused(root, places, kept) or _not_moved(root, kept)
    if problem:
        return _nothing(problem, failed=True)
    lines: list[str] = []
    for entry in kept:
        note = f" ({entry.note})" if entry.note else ""
        lines.append(f"{entry.kind} written: {shown(Path(entry.path), root)}{note}")
        lines += [f"  {line}" for line in entry.lines]
        others = sorted({other.test for other in places[entry.path] if other.draft != entry.draft} - {entry.test})
        if others:
            lines.append(f"  of {entry.test}; {_named(others)} measured it too")
    return Update(lines, written=True)


def _refused(root: Path, places: Mapping[str, Sequence[StagedEntry]], kept: Sequence[StagedEntry]) -> str:
    """Why these files may not be written; empty if they may."""
    for path, entries in places.items():
        problem = clash(entries)
        if problem:
            return f"{shown(Path(path), root)} cannot hold two measurements: {problem}. {CLASH_REMEDY}"
    for entry in kept:
        if entry.lacks:  # the test that staged all of them did not pass
            return f"{entry.test} lacks {entry.lacks} prompts of the baseline {shown(Path(entry.path), root)}"
    return ""


def _not_moved(root: Path, kept: Sequence[StagedEntry]) -> str:
    """Put files in their places; why that cannot be done, empty if it was."""
    try:
        put_in_place([Draft(Path(entry.path), Path(entry.draft), entry.seen) for entry in kept])
    except ChangedError as error:
        return changed(shown(error.path, root))
    except OSError as error:
        return f"a file cannot be moved to its place ({error})"
    return ""


def _nothing(reason: str, failed: bool = False) -> Update:
    return Update([f"no baseline or outputs written: {reason}"], written=False, failed=failed)


def _named(tests: Sequence[str]) -> str:
    more = f" and {len(tests) - _MOST_NAMED} more" if len(tests) > _MOST_NAMED else ""
    return ", ".join(tests[:_MOST_NAMED]) + more
