"""The terminal summary: what was measured, what the gates said, what happened to baselines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_speedbench.baselines import list_baselines
from pytest_speedbench.printable import printable, printable_in_colour
from pytest_speedbench.report.entries import (
    BaselineEntry,
    Entry,
    GateEntry,
    LosslessEntry,
    MeasurementEntry,
    StagedEntry,
    from_plain,
)
from pytest_speedbench.report.speed import SpeedEntry, speed_lines
from pytest_speedbench.report.terminal import gate_lines, lossless_line, measurement_lines

if TYPE_CHECKING:
    import pytest
    from _pytest.terminal import TerminalReporter

    from pytest_speedbench.updates import Update

MIN_WIDTH = 160
"""Tables may take this width whatever the terminal's: a CI log has none, and a cut table is no use."""


def write_summary(
    reporter: TerminalReporter,
    config: pytest.Config,
    plain: list[dict[str, Any]],
    baseline_dir: Path,
    update: Update | None,
) -> None:
    """Write the speedbench section of the summary."""
    entries = [from_plain(entry) for entry in plain]
    width, colour = max(config.get_terminal_writer().fullwidth, MIN_WIDTH), reporter.hasmarkup
    # A log has no width of its own, unless somebody says one.
    narrow = reporter.isatty or "COLUMNS" in os.environ
    columns = config.get_terminal_writer().fullwidth if narrow else width
    reporter.write_sep("=", "speedbench")
    for entry in _without_repeats(entries):
        lines: list[str] = []
        if isinstance(entry, MeasurementEntry):
            lines = [*measurement_lines(entry, width=width, colour=colour, columns=columns), ""]
        elif isinstance(entry, GateEntry):
            lines = [*gate_lines(entry, width=width, colour=colour, columns=columns), ""]
        elif isinstance(entry, LosslessEntry):
            lines = [lossless_line(entry)]
        elif isinstance(entry, SpeedEntry):
            lines = [*speed_lines(entry), ""]
        for line in lines:
            reporter.write_line(printable_in_colour(line) if colour else printable(line))
    gates = [entry.family_error for entry in _without_repeats(entries) if isinstance(entry, GateEntry | SpeedEntry)]
    if len(gates) > 1:
        together = min(sum(gates), 1.0)
        own = f"{len(gates)} gates: each has its family-wise error for itself"
        reporter.write_line(f"{own}; a false alarm in any of them: up to {together:.1%}")
    if update is not None:
        for line in update.lines:
            reporter.write_line(printable(line), **({"green": True} if update.written else {"red": True}))
    _write_unused(reporter, config, entries, baseline_dir)


def _without_repeats(entries: list[Entry]) -> list[Entry]:
    """The same figures from two tests that shared one measurement are shown once."""
    seen: set[str] = set()
    kept: list[Entry] = []
    for entry in entries:
        key = repr((type(entry), [getattr(entry, name) for name in entry.__struct_fields__ if name != "test"]))
        if key not in seen:
            seen.add(key)
            kept.append(entry)
    return kept


def _write_unused(reporter: TerminalReporter, config: pytest.Config, entries: list[Entry], folder: Path) -> None:
    used = {
        (config.rootpath / entry.path).resolve() for entry in entries if isinstance(entry, BaselineEntry | StagedEntry)
    }
    unused = [path for path in list_baselines(config.rootpath / folder) if path.resolve() not in used]
    if unused and not _narrowed(config):
        reporter.write_line("baselines that no test of this session used:", yellow=True)
        for file in unused:
            reporter.write_line(printable(f"  {file.relative_to(config.rootpath / folder)}"))


def _narrowed(config: pytest.Config) -> bool:
    """Whether only some of the tests ran, so that an unused baseline means nothing."""
    by_path = config.args_source is config.ArgsSource.ARGS
    chosen = config.getoption("keyword", "") or config.getoption("markexpr", "") or config.getoption("lf", False)
    return bool(by_path or chosen or config.getoption("maxfail", 0) or config.getoption("deselect", None))
