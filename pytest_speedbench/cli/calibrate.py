"""``speedbench calibrate``: measure a pair several times, and keep its run-to-run variation in the baseline."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import (
    add_measurement_options,
    asked,
    say,
    settings_of,
    tell_dropped,
    terminal_width,
    to_stderr,
)
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.settings import Settings
    from pytest_speedbench.splits import Split

_BASELINE_DIR = next(option for option in OPTIONS if option.name == "baseline-dir")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "calibrate",
        help="measure a pair several times, and write a baseline that knows how much its runs vary",
        description="Measure a pair N times on the same prompts and write its baseline: the figures of the first run "
        "and how much the others differ from it. Gates then know a change from the pair's own noise. A baseline that "
        "is there already is replaced, unless it has prompts that were not asked.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", type=_runs, metavar="N", help="runs, at least 2; 5 or more tell the noise well")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="start the engine anew for each run: slower, but the noise then holds what differs from start to start, "
        "as between the jobs of a CI",
    )
    parser.add_argument(
        f"--{_BASELINE_DIR.name}",
        dest=_BASELINE_DIR.dest,
        metavar=_BASELINE_DIR.metavar,
        default=None,
        help=_BASELINE_DIR.help,
    )
    add_measurement_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, write the baseline, and print how much the runs vary.

    Raises:
        SpeedbenchError: settings, pair or engine cannot be used, the engine failed, or the baseline cannot be written.
    """
    import datetime

    settings = settings_of(arguments)
    if settings.pair.drafter is None:
        raise ConfigError(
            f"The pair {settings.pair.name!r} has no drafter, so there is no acceptance to calibrate.",
            "Name a drafter for it, or calibrate another pair.",
        )
    tell_dropped(settings)
    split = asked(settings)

    from pytest_speedbench.baselines import baseline_path, baselines_on, write_baseline
    from pytest_speedbench.gate.served import check_target
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.report.calibration import calibration_lines
    from pytest_speedbench.report.progress import progress_log
    from pytest_speedbench.staging import Staging
    from pytest_speedbench.sweeps.draft_length import warm_up_part

    old = replaced(settings, split)
    staging = Staging()
    place = baseline_path(settings.baseline_dir, settings.pair.name, split.name)
    staging.watch(place)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    with Runner(settings.cache_dir) as runner:

        def measure(part: Split, which: str) -> Run:
            title = f"speedbench: {settings.pair.name} on {split.name}, {which}"
            to_stderr(f"{title}\n")
            with progress_log(to_stderr, title) as report:
                return runner.measure(settings.pair, part, settings.sampling, settings.load, report, settings.timeouts)

        if settings.pair.server is not None:
            known = baselines_on(settings.baseline_dir, settings.pair.name, split.name)
            check_target(runner, settings.pair, split, settings, known)
        few = warm_up_part(split, settings.load.concurrency)

        def run_number(number: int) -> Run:
            # An engine's first use is in no speed that is stored.
            if number == 1 or arguments.restart:
                runner.restart()
                measure(few, "warm-up")
            return measure(split, f"run {number} of {arguments.runs}")

        new = calibrated(run_number, arguments.runs, date)
    staging.unchanged(place, str(place))
    path = write_baseline(settings.baseline_dir, new)
    lines = calibration_lines(new, width=terminal_width(), colour=sys.stdout.isatty())
    lines += ["", f"baseline written: {path}", *_replaced_lines(old, new)]
    for line in lines:
        say(line)
    return 0


def _replaced_lines(old: Baseline | None, new: Baseline) -> list[str]:
    from pytest_speedbench.report.calibration import replaced_line
    from pytest_speedbench.report.replaced import baseline_changes

    return [] if old is None else [replaced_line(old, new), *(f"  {line}" for line in baseline_changes(old, new))]


def calibrated(measure: Callable[[int], Run], runs: int, date: str) -> Baseline:
    """The baseline of the first of several runs, calibrated by all. ``measure`` is told the run's number, from 1 on.

    Raises:
        BaselineError: the first run cannot be a baseline (nothing more is measured then), or others are not like it.
    """
    from pytest_speedbench.baselines import Baseline

    first = measure(1)
    Baseline.from_run(first, date=date).check_can_be_gated()
    return Baseline.from_runs([first, *(measure(number) for number in range(2, runs + 1))], date=date)


def replaced(settings: Settings, split: Split) -> Baseline | None:
    """The baseline that a calibration with these settings would replace; ``None`` if none can be read.

    Raises:
        BaselineError: it has prompts that are not asked, or only a part of the split is asked and it cannot be read.
    """
    from pytest_speedbench.baselines import baseline_path, check_keeps_prompts, load_baseline
    from pytest_speedbench.errors import BaselineError

    path: Path = baseline_path(settings.baseline_dir, settings.pair.name, split.name)
    whole = len(split) == split.total
    if not path.exists():
        return None
    try:
        old = load_baseline(
            settings.baseline_dir, settings.pair.name, split.name, record_command="speedbench calibrate 5"
        )
    except BaselineError:
        if whole:
            return None
        raise
    if not whole:
        check_keeps_prompts(old, (prompt.question_id for prompt in split.prompts), str(path))
    return old


def _runs(text: str) -> int:
    runs = int(text) if text.isdecimal() else 0
    if runs < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; variation takes at least 2")
    return runs
