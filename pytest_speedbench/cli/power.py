"""``speedbench power``: how many prompts a gate needs to find a drop, from a baseline alone."""

from __future__ import annotations

import argparse
import sys

from pytest_speedbench.cli.common import (
    add_json_option,
    add_named_options,
    check_writable,
    say,
    settings_of,
    terminal_width,
)

DEFAULT_DROP = 0.05
DEFAULT_POWER = 0.8
_SETTINGS = ("baseline-dir", "tolerance", "family-error")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "power",
        help="say how many prompts each category needs for a drop to be found, and what a split can see",
        description="From the counts of a baseline, say by category how many prompts a gate against it needs to find a "
        "drop, and which drops its own prompts show. Nothing is measured.",
        allow_abbrev=False,
    )
    parser.add_argument("baseline", metavar="BASELINE", help="a baseline's file, or PAIR/SPLIT of a stored one")
    parser.add_argument(
        "--drop",
        dest="drops",
        type=_share,
        action="append",
        default=None,
        metavar="SHARE",
        help="a drop to be found, e.g. 5%% or 0.05; give it several times for several (default: 5%%)",
    )
    parser.add_argument(
        "--power",
        type=_share,
        default=DEFAULT_POWER,
        metavar="SHARE",
        help="the probability with which it is to be found (default: 80%%)",
    )
    add_json_option(parser)
    add_named_options(parser, _SETTINGS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan, and print the plan.

    Raises:
        SpeedbenchError: settings or the baseline cannot be used.
    """
    from pytest_speedbench.cli.gating import policy_of, settings_of_stored, stored_baseline
    from pytest_speedbench.errors import BaselineError

    check_writable(arguments.json)
    baseline = stored_baseline(arguments.baseline, settings_of(arguments).baseline_dir)

    from pytest_speedbench.gate.power import plan
    from pytest_speedbench.report.power import power_json, power_lines

    policy = policy_of(settings_of_stored(arguments, baseline), {prompt.category for prompt in baseline.prompts})
    drops = tuple(dict.fromkeys(arguments.drops or (DEFAULT_DROP,)))
    try:
        planned = plan(baseline, drops, policy, power=arguments.power)
    except ValueError as error:
        raise BaselineError(
            f"Nothing can be planned from {arguments.baseline}: {error}.", "Record a baseline whose outputs are longer."
        ) from None
    for line in power_lines(planned, width=terminal_width(), colour=sys.stdout.isatty()):
        say(line)
    if arguments.json is not None:
        arguments.json.write_bytes(power_json(planned))
    return 0


def _share(text: str) -> float:
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 5% or 0.05, above 0 and below 100%")
    return share
