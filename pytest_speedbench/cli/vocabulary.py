"""``speedbench vocabulary``: how small an EAGLE-3 head's draft vocabulary may be, by category."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import (
    add_json_option,
    add_measurement_options,
    asked,
    check_folder,
    check_writable,
    say,
    settings_of,
    tell_dropped,
    terminal_width,
    to_stderr,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.config import Pair
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.splits import Split


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "vocabulary",
        help="sweep the draft vocabulary of an EAGLE-3 head, and name the smallest one that is enough by category",
        description="Cut an EAGLE-3 head down to its most frequent tokens, several times, and measure each cut and the "
        "whole head on the same prompts. Names the smallest draft vocabulary at which no regression is shown, or "
        "found, in each category. Nothing is retrained.",
        allow_abbrev=False,
    )
    sweep = parser.add_argument_group("what is swept")
    sweep.add_argument("--sizes", type=_sizes, required=True, metavar="N,...", help="draft vocabularies, in tokens")
    sweep.add_argument(
        "--counts",
        type=Path,
        required=True,
        metavar="FILE",
        help="what the target says, to rank tokens by: text (.txt; .jsonl, rows with messages, of which the "
        "assistant's count, or with text), or counts of it (.json). Not the answers to the prompts asked here",
    )
    sweep.add_argument("--save-counts", type=Path, metavar="FILE", help="write the counts of the text to FILE (.json)")
    sweep.add_argument("--heads", type=Path, metavar="DIR", help="keep the cut heads in DIR (default: thrown away)")
    sweep.add_argument(
        "--tolerance",
        dest="speedbench_tolerance",
        metavar="SHARE[,CATEGORY=SHARE...]",
        help="accepted drop of a category's acceptance length, e.g. 2%% or 2%%,multilingual=5%% (default: 1%%)",
    )
    add_json_option(sweep)
    add_measurement_options(parser, without=("endpoint", "command", "tolerance"), also=("baseline-dir", "mode"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sweep, and print what came of it.

    Raises:
        SpeedbenchError: settings, counts, pair or engine cannot be used, or the engine failed.
    """
    settings = settings_of(arguments, may_replay=True)
    check_writable(arguments.json)
    check_writable(arguments.save_counts)
    check_folder(arguments.heads)
    tell_dropped(settings)
    split = asked(settings)

    from dataclasses import replace

    from pytest_speedbench.baselines.replaying import asked_pair
    from pytest_speedbench.engines.checkpoints import open_checkpoint
    from pytest_speedbench.gate import GatePolicy
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.pruning import load_counts, write_counts
    from pytest_speedbench.report.progress import progress_log
    from pytest_speedbench.report.vocabulary import vocabulary_json, vocabulary_lines
    from pytest_speedbench.sweeps.vocabulary import sweep_vocabulary

    leaks = _leaks(arguments.counts, split)
    for leak in leaks:
        to_stderr(f"speedbench: warning: {leak}\n")
    counts = load_counts(arguments.counts, open_checkpoint(settings.pair.model, download=True).folder)
    if arguments.save_counts is not None:
        write_counts(counts, arguments.save_counts)
    policy = GatePolicy(settings.tolerance, settings.family_error)
    with ExitStack() as stack:
        runner = stack.enter_context(Runner(settings.cache_dir))

        def measure(pair: Pair) -> Run:
            with progress_log(to_stderr, f"speedbench: {pair.name}") as report:
                return runner.measure(pair, split, settings.sampling, settings.load, report, settings.timeouts)

        folder = arguments.heads or _scratch(stack)
        pair = asked_pair(settings, split.name)
        result = sweep_vocabulary(measure, pair, arguments.sizes, counts, folder, policy)
    result = replace(result, notes=(*leaks, *result.notes))
    for line in vocabulary_lines(result, width=terminal_width(), colour=sys.stdout.isatty()):
        say(line)
    if arguments.json is not None:
        arguments.json.write_bytes(vocabulary_json(result))
    return 0


def _leaks(path: Path, split: Split) -> Sequence[str]:
    """What the reader must know when the judged prompts stand in the counted text. A counts file does not tell."""
    from pytest_speedbench.pruning.counts import TEXT_SUFFIXES
    from pytest_speedbench.pruning.text import prompts_in_text

    found = prompts_in_text(path, split) if path.is_file() and path.suffix in TEXT_SUFFIXES else 0
    if not found:
        return ()
    return (
        f"{path.name} holds {found} of the {len(split)} prompts that judge the vocabulary, which was thus chosen by "
        "their own text: other prompts will do worse.",
    )


def _scratch(stack: ExitStack) -> Path:
    from tempfile import TemporaryDirectory

    return Path(stack.enter_context(TemporaryDirectory(prefix="speedbench-heads-")))


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of sizes such as 256,512,1024") from None
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{min(sizes)} is no size")
    return sizes
