"""What a session shows on pytest's terminal: progress while it measures, and failures in words."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from pytest_speedbench.measure import Progress
from pytest_speedbench.report.progress import progress_bar, progress_log


@contextmanager
def progress_on(
    config: pytest.Config, title: str, total: int
) -> Generator[Callable[[Progress], None] | None, None, None]:
    """Shows progress while it is open, captured output or not; nothing where the session is quiet."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.getoption("verbose") < 0:
        yield None
        return
    terminal = config.get_terminal_writer()
    capture = config.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter.ensure_newline()
            terminal.write(text, flush=True)

    context = progress_bar(write, title, total) if reporter.isatty else progress_log(write, title)
    with context as report:
        yield report


def in_words(item: pytest.Item, text: str) -> ReprExceptionInfo:
    """A failure shown as plain text; its first line alone is the message of short summaries and JUnit files."""
    path, line, _ = item.location
    traceback = ReprTraceback([ReprEntryNative([text + "\n"])], None, style="native")
    return ReprExceptionInfo(traceback, ReprFileLocation(path, (line or 0) + 1, text.partition("\n")[0]))
