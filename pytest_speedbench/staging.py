"""Files that tests want written: drafts beside their places, until the session ends and decides.

A test stages its file when it has measured. The draft lies beside its place, under a hidden name; nothing is replaced
before the end of the session (:mod:`pytest_speedbench.updates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_speedbench.baselines.fingerprint import acceptance_differences
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.places import beside, content_sha256, probe, remove, remove_leftovers, write_flushed
from pytest_speedbench.report.entries import StagedEntry


class Staging:
    """The drafts that one process writes. Places are looked at before anything is measured."""

    def __init__(self) -> None:
        self._seen: dict[Path, str | None] = {}
        self._staged: list[StagedEntry] = []

    def watch(self, path: Path) -> str | None:
        """See that a file could be written to its place, and remember what lies there; returns its hash.

        Raises:
            BaselineError: it cannot be written, or what is there is no file.
        """
        if path in self._seen:
            return self._seen[path]
        remedy = "Make it writable, or name another folder with --speedbench-baseline-dir."
        try:
            probe(path.parent)
            if path.exists() and not path.is_file():
                raise BaselineError(f"{path} is to be written, but it is no file.", "Move it away.")
            remove_leftovers(path.parent)
            self._seen[path] = content_sha256(path)
        except OSError as error:
            raise BaselineError(f"{path} cannot be written ({error.strerror or error}).", remedy) from error
        return self._seen[path]

    def unchanged(self, path: Path, shown: str) -> str | None:
        """What lies in a place as when it was looked at first; returns its hash, ``None`` if nothing does.

        Raises:
            BaselineError: another process has written it since.
        """
        seen = self.watch(path)
        if content_sha256(path) != seen:
            raise BaselineError(changed(shown), "Look at what it holds now, and run again.")
        return seen

    def of(self, path: Path) -> list[StagedEntry]:
        """What has been staged for a place."""
        return [entry for entry in self._staged if entry.path == str(path)]

    def write(self, path: Path, content: bytes) -> tuple[str, list[str]]:
        """Write a draft for a place; returns where it lies and which folders were made for it.

        Raises:
            BaselineError: it cannot be written.
        """
        made = [str(folder) for folder in reversed(path.parents) if not folder.exists()]
        draft = beside(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_flushed(draft, content)
        except OSError as error:
            raise BaselineError(
                f"{path} cannot be written ({error.strerror or error}).",
                "Check the folder's permissions and free space, or name another baselines folder.",
            ) from error
        return str(draft), made

    def add(self, entry: StagedEntry, shown: str) -> None:
        """Keep what a test staged.

        Raises:
            BaselineError: something else has been staged for the same place.
        """
        problem = clash([*self.of(Path(entry.path)), entry])
        self._staged.append(entry)
        if problem:
            raise BaselineError(f"{shown} cannot hold two measurements: {problem}.", CLASH_REMEDY)

    def discard(self) -> None:
        """Remove the drafts that are still there."""
        discard(self._staged)


CLASH_REMEDY = (
    "A baseline has one set of settings: give each test a pair of its own in [tool.speedbench.pairs], "
    "or record them one at a time into folders of their own (--speedbench-baseline-dir)."
)


def changed(shown: str) -> str:
    """Says that a place was written by someone else."""
    return f"{shown} was changed by another process while this session ran."


def clash(staged: Sequence[StagedEntry]) -> str:
    """In words why these cannot be the same file; empty if they can."""
    for number, second in enumerate(staged):
        for first in staged[:number]:
            found = [f"{d.field} {d.baseline} and {d.measured}" for d in acceptance_differences(first.key, second.key)]
            for name in ("drafter", "engine"):
                values = getattr(first, name), getattr(second, name)
                if values[0] != values[1]:
                    found.append(f"{name} {values[0]} and {values[1]}")
            prompts = set(first.prompts), set(second.prompts)
            if not found and not (prompts[0] <= prompts[1] or prompts[1] <= prompts[0]):
                found = [f"{len(prompts[0] - prompts[1])} prompts of one are not in the other, and the other way round"]
            if found:
                tests = first.test if first.test == second.test else f"{first.test} and {second.test}"
                return f"{tests} measured with different settings: {'; '.join(found)}"
    return ""


def chosen(staged: Sequence[StagedEntry]) -> StagedEntry:
    """Which of several files for one place is kept: the one of most prompts, of these one with a calibration."""
    return max(staged, key=lambda entry: (len(entry.prompts), bool(entry.note)))


def discard(staged: Sequence[StagedEntry]) -> None:
    """Remove drafts, and the folders that were made for them."""
    for entry in staged:
        remove(Path(entry.draft))
    for folder in sorted({folder for entry in staged for folder in entry.made}, key=len, reverse=True):
        try:
            Path(folder).rmdir()
        except OSError:  # it holds something, or is gone
            continue
