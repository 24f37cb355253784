"""The ``speedbench`` command: one module per subcommand, over the same core as the pytest plugin.

A subcommand is a module of this package with two functions::

    def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None
        # Adds its parser, with set_defaults(run=run).

    def run(arguments: argparse.Namespace) -> int
        # Does the work; returns the exit code. A SpeedbenchError it raises is shown to the user.

Its module imports nothing heavy at the top, so that ``speedbench --help`` answers at once.

Exit codes: 0 done, 1 a finding (for commands that judge), 4 a mistake that the user can mend, in the command line or
elsewhere (pytest's code for one), 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from pytest_speedbench.errors import SpeedbenchError

EXIT_USAGE = 4
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141

_COMMANDS = (
    "calibrate",
    "compare",
    "curate",
    "draft_length",
    "power",
    "prepare",
    "replay",
    "show",
    "states",
    "vocabulary",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Raises:
        SystemExit: with 0 after ``--help`` and ``--version``, and 4 for a command line that cannot be parsed.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except SpeedbenchError as error:
        # The core names options as pytest takes them; here they have no prefix, unless pytest is to be run.
        words = re.sub("(?<!pytest … )--speedbench-", "--", f"speedbench: {error}")
        print(words, file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python flushes at its end: not into the broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        print("speedbench: interrupted", file=sys.stderr)  # noqa: T201
        return EXIT_INTERRUPTED
    return code


class _Parser(argparse.ArgumentParser):
    """A parser, and through it those of the subcommands, whose mistakes end as all others of the user's do."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")


class _Version(argparse.Action):
    """Says the package's version, which takes a while to find, only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        print(f"speedbench (pytest-speedbench) {metadata.version('pytest-speedbench')}")  # noqa: T201
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="speedbench", description="Measure speculative decoding: acceptance and speed of a target+drafter pair."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in _COMMANDS:
        import_module(f"{__name__}.{name}").register(subparsers)
    return parser
