"""How far a measurement is: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, cast

from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.measure.driver import Progress
from pytest_speedbench.printable import printable

Write = Callable[[str], object]
"""Puts text on the terminal or into the log, at once."""

LOG_INTERVAL_S = 10.0
BAR_INTERVAL_S = 0.1


class _Stream(io.TextIOBase):
    """A text stream over a function."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def write(self, text: str) -> int:
        self._write(text)
        return len(text)


class RunningAcceptance:
    """The pooled acceptance length so far."""

    def __init__(self) -> None:
        self._records: list[AcceptanceRecord] = []

    def add(self, progress: Progress) -> str:
        """Take one conversation in; the figure in words, empty if there is none."""
        record = progress.conversation.acceptance
        if record is not None:
            self._records = [row for row in (pool([*self._records, record]),) if row is not None]
        al = self._records[0].al if self._records else None
        return "" if al is None else f"AL so far {al:.2f}"


@contextmanager
def progress_bar(write: Write, title: str, total: int) -> Generator[Callable[[Progress], None], None, None]:
    """A bar that vanishes when done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    running = RunningAcceptance()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figure]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    last_at = 0.0

    # Drawn by whoever reports, not by a thread of its own: writing switches output capture off for that moment.
    console = Console(file=cast("IO[str]", _Stream(write)), force_terminal=True)
    with Bar(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(printable(title), total=total, figure="")

        def report(progress: Progress) -> None:
            nonlocal last_at
            bar.update(task, completed=progress.done, figure=running.add(progress))
            now = time.monotonic()
            if now - last_at >= BAR_INTERVAL_S or progress.done == total:
                last_at = now
                bar.refresh()

        yield report


@contextmanager
def progress_log(write: Write, title: str) -> Generator[Callable[[Progress], None], None, None]:
    """A line every ten seconds, so that a log shows life."""
    running = RunningAcceptance()
    started_at = last_at = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last_at
        figure = running.add(progress)
        now = time.monotonic()
        if now - last_at >= LOG_INTERVAL_S:
            last_at = now
            parts = [f"{progress.done}/{progress.total} prompts", figure, f"{now - started_at:.0f} s"]
            write(printable(f"{title}: {', '.join(part for part in parts if part)}\n"))

    yield report
