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
    say,
    settings_of,
    tell_dropped,
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
    from pytest_speedbench.metrics.replay_differences import ReplayDifference
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
    add_gate_options(parser, without=("outputs",))  # the files; what is replayed are the baseline's own
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
    tell_dropped(settings)
    outputs = arguments.outputs or outputs_path(settings.baseline_dir, name, split)
    return baseline, _sampled_alike(settings, baseline), replayed(settings.pair, outputs)


def _sampled_alike(settings: Settings, baseline: Baseline) -> Settings:
    """Tokens picked as they were for the baseline, which is asked for by name."""
    from dataclasses import replace

    key = baseline.acceptance_key
    if key.top_p is None or key.seed is None:
        return settings
    sampling = replace(settings.sampling, temperature=key.temperature, top_p=key.top_p, seed=key.seed)
    return replace(settings, sampling=sampling)


def _replayed(pair: Pair, settings: Settings, lengths: tuple[int, ...]) -> Run:
    """The replay of the pair, and, printed, the acceptance length for several draft lengths, all of one pass."""
    from dataclasses import replace

    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.report.expected import expected_lines
    from pytest_speedbench.report.replay import lengths_lines

    if pair.drafter is None:
        raise ConfigError(f"The pair {pair.name!r} has no drafter to replay.", "Name one with --drafter.")
    own = pair.drafter.draft_length
    longest = replace(pair, drafter=replace(pair.drafter, draft_length=max((own, *lengths))))
    with Runner(settings.cache_dir) as runner:
        runs = runner.at_draft_lengths(_measured(runner, longest, settings), {own, *lengths})
        expected = runner.expected(runs[own])
    width, colour = terminal_width(default=160), sys.stdout.isatty()
    shown = lengths_lines({length: runs[length] for length in lengths}, width=width, colour=colour) if lengths else []
    drawn = expected_lines(runs[own], expected, width=width, colour=colour) if expected else []
    for lines in (shown, drawn):
        for line in (*lines, "") if lines else ():
            say(line)
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

    from pytest_speedbench.engines.replay.lookup import remembers
    from pytest_speedbench.measure.runner import Runner

    part = replace(settings, prompts=min(prompts, len(replayed_run.conversations)))
    with Runner(settings.cache_dir) as runner:
        decoded = _measured(runner, settings.pair, part)
    ids = [conversation.question_id for conversation in decoded.conversations]
    by_id = {conversation.question_id: conversation for conversation in replayed_run.conversations}
    same = replace(replayed_run, conversations=tuple(by_id[name] for name in ids))
    if remembers(replayed_run.pair):  # what it drafts depends on what was asked before
        with Runner(settings.cache_dir) as runner:
            same = _measured(runner, replayed_run.pair, part)
    by = f"\ndecoded by {decoded.engine.name} {decoded.engine.version}:"
    if part.sampling.greedy:
        _print_differences(by, part, same, decoded)
    else:
        say(f"{by} {len(ids)} prompts, sampled anew")
    return print_judged(same, decoded, decoded.pair.name, policy)


def _print_differences(by: str, part: Settings, same: Run, decoded: Run) -> None:
    from pytest_speedbench.report.replay import difference_lines

    found, limit = _differences(part, same, decoded)
    prompts = len(decoded.conversations)
    outputs = prompts - sum(difference.position is not None for difference in found)
    say(f"{by} of {prompts} prompts {outputs} have the stored output and {prompts - len(found)} the replayed counts")
    for line in difference_lines(found, limit):
        say(line)


def _differences(part: Settings, same: Run, decoded: Run) -> tuple[list[ReplayDifference], float | None]:
    """Where decoding differs from the replay and why, and the largest margin that rounding may turn over."""
    from functools import partial

    from pytest_speedbench.measure.prompts import ids_hash
    from pytest_speedbench.metrics.replay_differences import Cause, differences_of, may_be_cut
    from pytest_speedbench.numerics import near_tie_limit
    from pytest_speedbench.outputs import read_outputs

    stored = read_outputs(Path(str(same.pair.engine_args["outputs"])))
    margins = {ids_hash(row.prompt_ids): row.margins_nats for row in stored.rows}
    dtypes = [_text(same.engine.args.get("served_dtype")), _text(decoded.engine.args.get("dtype"))]
    limit = near_tie_limit(stored.head.dtype, *dtypes)
    judged = partial(
        differences_of,
        same.conversations,
        decoded.conversations,
        margins=margins,
        limit_nats=limit,
        cut=may_be_cut(decoded),
    )
    found = judged()
    of_a_drafter = any(difference.cause in (Cause.UNEXPLAINED, Cause.CHUNKED_PREFILL) for difference in found)
    if not of_a_drafter or set(dtypes) == {"float32"}:
        return found, limit
    return judged(unsteady=_unsteady(part, same, dtypes[1] if dtypes[0] != dtypes[1] else "float32")), limit


def _unsteady(part: Settings, same: Run, dtype: str | None) -> set[str]:
    """Ids of conversations that the drafter, computed in another dtype, would have other counts for."""
    from dataclasses import replace
    from types import MappingProxyType

    from pytest_speedbench.measure.runner import Runner

    if dtype is None:
        return set()
    args = {name: value for name, value in same.pair.engine_args.items() if name != "dtype"}
    pair = replace(same.pair, engine_args=MappingProxyType(args), dtype=dtype)
    with Runner(part.cache_dir) as runner:
        again = runner.measure(pair, asked(part), part.sampling, part.load, None, part.timeouts)
    both = zip(same.conversations, again.conversations, strict=True)
    return {one.question_id for one, other in both if one.acceptance != other.acceptance}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
