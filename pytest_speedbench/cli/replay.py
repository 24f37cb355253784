"""``speedbench replay``: judge a drafter on outputs stored beside a baseline, and confirm by a short decoded run."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import (
    add_gate_options,
    add_measurement_options,
    asked,
    settings_of,
    terminal_width,
    to_stderr,
)
from pytest_speedbench.cli.compare import print_judged
from pytest_speedbench.cli.draft_length import counts
from pytest_speedbench.cli.gating import is_file, policy_of, settings_of_pair, stored_baseline
from pytest_speedbench.errors import ConfigError

if TYPE_CHECKING:
    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.config import Pair
    from pytest_speedbench.gate import GatePolicy
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.settings import Settings

EXIT_FAILED = 1


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "replay",
        help="judge a drafter on stored outputs, without decoding",
        description="Compute what a drafter would have had accepted of the outputs stored beside a baseline "
        "(--speedbench-record-outputs), and judge it against that baseline. What batching and the engine do is not "
        "seen: --confirm=N decodes N prompts with the engine after a replay that passed, and compares. The exit code "
        "is 1 if the drafter is worse, data is missing, or the decoded run contradicts the replay.",
        allow_abbrev=False,
    )
    parser.add_argument("baseline", metavar="PAIR/SPLIT", help="the baseline whose outputs are stored")
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="stored outputs (default: beside the baseline)")
    parser.add_argument(
        "--lengths",
        type=counts,
        default=(),
        metavar="K,...",
        help="show the acceptance length for several draft lengths too, all of one pass, e.g. 1-8",
    )
    parser.add_argument(
        "--confirm", type=int, metavar="N", help="decode N prompts too, spread evenly over the categories"
    )
    add_gate_options(parser)
    add_measurement_options(parser, without=("pair", "model", "split"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay, compare, print; decode a part if that passed and is wanted.

    Raises:
        SpeedbenchError: baseline, outputs, drafter or engine cannot be used.
    """
    arguments.speedbench_mode = "decode"  # what the project says of it is not for this command
    baseline, settings, pair = _chosen(arguments)
    policy = policy_of(settings, {prompt.category for prompt in baseline.prompts})
    replayed_run = _replayed(pair, settings, arguments.lengths)
    failed = print_judged(baseline, replayed_run, pair.name, policy)
    if failed or arguments.confirm is None:
        return EXIT_FAILED if failed else 0
    return EXIT_FAILED if _confirm(arguments.confirm, settings, replayed_run, policy) else 0


def _chosen(arguments: argparse.Namespace) -> tuple[Baseline, Settings, Pair]:
    from pytest_speedbench.baselines import outputs_path
    from pytest_speedbench.engines.replay.pairs import replayed

    if is_file(arguments.baseline):
        raise ConfigError(f"{arguments.baseline} is a file.", "Name the baseline as PAIR/SPLIT.")
    if arguments.confirm is not None and arguments.confirm < 1:
        raise ConfigError(f"--confirm is {arguments.confirm}.", "Give a number of at least 1.")
    baseline = stored_baseline(arguments.baseline, settings_of(arguments).baseline_dir)
    name, _, split = arguments.baseline.rpartition("/")
    settings = settings_of_pair(argparse.Namespace(**{**vars(arguments), "speedbench_split": split}), name)
    outputs = arguments.outputs or outputs_path(settings.baseline_dir, name, split)
    return baseline, settings, replayed(settings.pair, outputs)


def _replayed(pair: Pair, settings: Settings, lengths: tuple[int, ...]) -> Run:
    """The replay of the pair, and, printed, the acceptance length for several draft lengths, all of one pass."""
    from dataclasses import replace

    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.report.replay import lengths_lines

    if pair.drafter is None:
        raise ConfigError(f"The pair {pair.name!r} has no drafter to replay.", "Name one with --drafter.")
    own = pair.drafter.draft_length
    longest = replace(pair, drafter=replace(pair.drafter, draft_length=max((own, *lengths))))
    with Runner(settings.cache_dir) as runner:
        runs = runner.at_draft_lengths(_measured(runner, longest, settings), {own, *lengths})
    if lengths:
        chosen = {length: runs[length] for length in lengths}
        for line in (*lengths_lines(chosen, width=terminal_width(default=160), colour=sys.stdout.isatty()), ""):
            print(line)  # noqa: T201
    return runs[own]


def _measured(runner: Runner, pair: Pair, settings: Settings) -> Run:
    from pytest_speedbench.report.progress import progress_log

    split = asked(settings)
    title = f"speedbench: {pair.name} on {split.name}" + (", replayed" if pair.engine == "replay" else ", decoded")
    started_s = time.perf_counter()
    with progress_log(to_stderr, title) as report:
        measured = runner.measure(pair, split, settings.sampling, settings.load, report, settings.timeouts)
    to_stderr(f"{title}: {len(split)} prompts in {time.perf_counter() - started_s:.1f} s\n")
    return measured


def _confirm(prompts: int, settings: Settings, replayed_run: Run, policy: GatePolicy) -> bool:
    """Decode a part and compare it with its replay; whether it contradicts."""
    from dataclasses import replace

    from pytest_speedbench.measure.runner import Runner

    part = replace(settings, prompts=min(prompts, len(replayed_run.conversations)))
    with Runner(settings.cache_dir) as runner:
        decoded = _measured(runner, settings.pair, part)
    ids = [conversation.question_id for conversation in decoded.conversations]
    by_id = {conversation.question_id: conversation for conversation in replayed_run.conversations}
    same = replace(replayed_run, conversations=tuple(by_id[name] for name in ids))
    outputs = sum(
        tuple(turn.output_ids for turn in ours.turns) == tuple(turn.output_ids for turn in theirs.turns)
        for ours, theirs in zip(same.conversations, decoded.conversations, strict=True)
    )
    counts = sum(
        ours.acceptance is not None
        and theirs.acceptance is not None
        and ours.acceptance.histogram == theirs.acceptance.histogram
        for ours, theirs in zip(same.conversations, decoded.conversations, strict=True)
    )
    print(  # noqa: T201
        f"\ndecoded by {decoded.engine.name} {decoded.engine.version}: of {len(ids)} prompts {outputs} have the stored "
        f"output and {counts} the replayed counts"
    )
    return print_judged(same, decoded, decoded.pair.name, policy)
