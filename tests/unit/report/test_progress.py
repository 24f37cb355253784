from __future__ import annotations

import time

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.measure import Conversation, Progress, Turn
from pytest_speedbench.report.progress import progress_bar, progress_log


def steps(done: int) -> Progress:
    record = AcceptanceRecord(3, (2, 0, 0, 2), 12)
    turn = Turn(1, "hash", (1,), "length", 0.0, ((0.1, 1),), record)
    return Progress(done, 3, Conversation(f"c{done}", "math", "", (turn,)))


def test_a_log_gets_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    with progress_log(lines.append, "speedbench: pair on split") as report:
        for done in (1, 2, 3):
            report(steps(done))
    assert lines == ["speedbench: pair on split: 2/3 prompts, AL so far 2.50, 11 s\n"]


def test_a_terminal_gets_a_bar_that_vanishes() -> None:
    written: list[str] = []
    with progress_bar(written.append, "speedbench: pair", 3) as report:
        for done in (1, 2, 3):
            report(steps(done))
    text = "".join(written)
    assert "3/3" in text
    assert "AL so far 2.50" in text
    assert text.rstrip().endswith("\x1b[2K")
