"""``speedbench draft-length``: which K pays, at which concurrency."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import (
    add_json_option,
    add_measurement_options,
    asked,
    check_writable,
    say,
    settings_of,
    tell_dropped,
    terminal_width,
    to_stderr,
)

if TYPE_CHECKING:
    from pytest_speedbench.sweeps.draft_length import RoundDone

DEFAULT_ROUNDS = 5
_MOST = 1024


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "draft-length",
        help="sweep the draft length: acceptance and speed for each K, and the best K at each concurrency",
        description="Measure acceptance and speed for several draft lengths and for no drafter, and name the best one "
        "at each concurrency. The engine is started once per draft length, and twice without a drafter.",
        allow_abbrev=False,
    )
    sweep = parser.add_argument_group("what is swept")
    sweep.add_argument(
        "--lengths", type=counts, default=tuple(range(1, 9)), metavar="K,...", help="draft lengths (default: 1-8)"
    )
    sweep.add_argument(
        "--concurrency",
        dest="concurrencies",
        type=counts,
        default=None,
        metavar="N,...",
        help="conversations at a time, e.g. 1,8,32 (default: 1)",
    )
    sweep.add_argument(
        "--rounds",
        type=int,
        default=DEFAULT_ROUNDS,
        metavar="N",
        help="passes over all prompts for each draft length and concurrency; intervals come from their spread "
        "(default: %(default)s, at least 3)",
    )
    add_json_option(sweep)
    add_measurement_options(parser, without=("draft-length", "concurrency", "endpoint", "command"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sweep, and print what came of it.

    Raises:
        SpeedbenchError: settings, pair or engine cannot be used, or the engine failed.
    """
    settings = settings_of(arguments)
    check_writable(arguments.json)
    tell_dropped(settings)
    split = asked(settings)

    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.report.progress import progress_log
    from pytest_speedbench.report.sweep import draft_length_json, draft_length_lines, round_line
    from pytest_speedbench.sweeps.draft_length import Plan, sweep_draft_lengths

    plan = Plan(arguments.lengths, arguments.concurrencies or (settings.load.concurrency,), arguments.rounds)

    def on_round(done: RoundDone) -> None:
        to_stderr(f"speedbench: {round_line(done)}\n")

    with Runner(settings.cache_dir) as runner:
        result = sweep_draft_lengths(
            runner,
            settings.pair,
            split,
            settings.sampling,
            plan,
            timeouts=settings.timeouts,
            watch=lambda title: progress_log(to_stderr, f"speedbench: {title}"),
            on_round=on_round,
        )
    for line in draft_length_lines(result, width=terminal_width(), colour=sys.stdout.isatty()):
        say(line)
    if arguments.json is not None:
        arguments.json.write_bytes(draft_length_json(result))
    return 0


def counts(text: str) -> tuple[int, ...]:
    """Read ``1-8``, ``1,2,4`` or ``1-3,8``: whole numbers from 1 on, each once, in rising order.

    Raises:
        argparse.ArgumentTypeError: it cannot be read.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1-8 or 1,2,4") from None
        if not 1 <= low <= high <= _MOST:
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is no number or rising range from 1 to {_MOST}")
        found.update(range(low, high + 1))
    return tuple(sorted(found))
