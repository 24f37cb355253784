"""``speedbench compare``: is one side worse than another? Pairs measured now, baselines, published tables."""

from __future__ import annotations

import argparse
import sys
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
from pytest_speedbench.cli.gating import (
    is_file,
    is_stored,
    policy_of,
    settings_of_pair,
    settings_of_stored,
    stored_baseline,
)
from pytest_speedbench.errors import BaselineError, ConfigError
from pytest_speedbench.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.baselines import AcceptanceKey, Baseline
    from pytest_speedbench.baselines.fingerprint import Difference
    from pytest_speedbench.baselines.published import PublishedFigures
    from pytest_speedbench.config import Pair
    from pytest_speedbench.gate import GatePolicy, GateResult, Pairing
    from pytest_speedbench.gate.speed import SpeedResult
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.settings import Settings

EXIT_FAILED = 1
_ROUNDS = next(option for option in OPTIONS if option.name == "rounds")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "compare",
        help="compare two pairs, or a pair with a baseline or a published table",
        description="Measure two named pairs on the same prompts and say, category by category, whether the candidate "
        "is worse, and where. Either may be a baseline instead, which is not measured: a file, or PAIR/SPLIT of a "
        "stored one. The reference may also be a file of published figures. The exit code is 1 if the candidate is "
        "worse or data is missing.",
        allow_abbrev=False,
    )
    parser.add_argument("reference", metavar="REFERENCE", help="a named pair, a baseline, or published figures")
    parser.add_argument("candidate", metavar="CANDIDATE", help="a named pair, or a baseline")
    parser.add_argument(
        "--unpaired",
        action="store_true",
        help="compare with a baseline of other prompts, by means: weaker than prompt by prompt",
    )
    parser.add_argument(
        "--speed",
        action="store_true",
        help="also compare the speed of two pairs, in rounds that take turns on the same machine",
    )
    parser.add_argument(
        f"--{_ROUNDS.name}", dest=_ROUNDS.dest, metavar=_ROUNDS.metavar, default=None, help=_ROUNDS.help
    )
    add_gate_options(parser)
    add_measurement_options(parser, without=("pair", "model", "drafter"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure what is to be measured, compare, and print both sides and the verdicts.

    Raises:
        SpeedbenchError: settings, pairs, baselines or engines cannot be used, or the two sides are not comparable.
    """
    names = (arguments.reference, arguments.candidate)
    folder = settings_of(arguments).baseline_dir
    stored = [_stored(name, folder) for name in names]
    to_measure = [settings_of_pair(arguments, name) for name, side in zip(names, stored, strict=True) if side is None]
    _check(arguments, stored, to_measure)
    policy = _policy(arguments, stored[1])

    measured = iter(_measured(to_measure))
    before, after = (next(measured) if side is None else side for side in stored)
    failed = print_judged(before, after, arguments.candidate, policy, unpaired=arguments.unpaired)
    if arguments.speed:
        speed = _speed(to_measure[0], to_measure[1], policy)
        failed = failed or speed.failed
        for line in ("", *_speed_lines(arguments.candidate, speed)):
            say(line)
    return EXIT_FAILED if failed else 0


def print_judged(
    reference: Run | Baseline | PublishedFigures,
    candidate: Run | Baseline | PublishedFigures,
    name: str,
    policy: GatePolicy,
    *,
    unpaired: bool = False,
) -> bool:
    """Compare, and print both sides and the verdicts on the candidate, called ``name``; whether it failed.

    Raises:
        BaselineError: the two sides are not comparable.
    """
    from pytest_speedbench.report.comparison import side_lines, verdict_lines

    result, message = judged(reference, candidate, policy, unpaired=unpaired)
    width, colour = terminal_width(default=160), sys.stdout.isatty()
    for side in (reference, candidate):
        for line in (*side_lines(side, width=width, colour=colour), ""):
            say(line)
    for line in verdict_lines(name, result, message, width=width, colour=colour):
        say(line)
    return result.failed


def judged(
    reference: Run | Baseline | PublishedFigures,
    candidate: Run | Baseline | PublishedFigures,
    policy: GatePolicy,
    *,
    unpaired: bool,
) -> tuple[GateResult, str]:
    """The verdicts, and the words for a comparison that did not pass.

    Raises:
        BaselineError: the two sides are not comparable.
    """
    from dataclasses import replace

    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.baselines.published import PublishedFigures
    from pytest_speedbench.gate import compare, failure_message, pair_up
    from pytest_speedbench.gate.unpaired import pairing_of_baselines, pairing_unpaired, pairing_with_table
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.report.regression import regression_message, with_doubts

    def result_of(pairing: Pairing) -> GateResult:
        return compare(replace(pairing, update_hint=""), policy)

    if isinstance(candidate, PublishedFigures):
        raise ConfigError("The candidate cannot be a published table.", "Give the table as REFERENCE.")
    if isinstance(reference, PublishedFigures):
        result = result_of(pairing_with_table(reference, candidate))
        return result, failure_message(result)
    _check_comparable(_key(reference), _key(candidate), other_prompts=unpaired)
    if unpaired and isinstance(reference, Baseline):
        result = result_of(pairing_unpaired(reference, candidate))
        return result, failure_message(result)
    if isinstance(candidate, Run):
        result = with_doubts(result_of(pair_up(reference, candidate)), reference, candidate)
        return result, regression_message(result, reference, [candidate])
    if isinstance(reference, Run):
        raise ConfigError("The candidate is a baseline and the reference is measured.", "Swap them.")
    result = result_of(pairing_of_baselines(reference, candidate))
    return result, failure_message(result)


def _stored(name: str, folder: Path) -> Baseline | PublishedFigures | None:
    """The baseline or table of this name; ``None`` for the name of a pair."""
    from pytest_speedbench.baselines.published import is_published, read_published

    if not is_stored(name):
        return None
    if is_file(name) and is_published(Path(name)):
        return read_published(Path(name))
    return stored_baseline(name, folder)


def _check(
    arguments: argparse.Namespace,
    stored: Sequence[Baseline | PublishedFigures | None],
    to_measure: Sequence[Settings],
) -> None:
    """Refuse what is known not to work before anything is measured."""
    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.baselines.published import PublishedFigures

    reference, candidate = stored
    if isinstance(candidate, PublishedFigures):
        raise ConfigError(f"{arguments.candidate} holds published figures.", "Give them as REFERENCE.")
    if candidate is not None and reference is None:
        raise ConfigError(
            f"The candidate {arguments.candidate} is a baseline, and the reference would be measured.",
            "Give the baseline as REFERENCE, or two baselines.",
        )
    if arguments.unpaired and not isinstance(reference, Baseline):
        raise ConfigError(
            "--unpaired needs a baseline as REFERENCE.",
            "Leave it out: two pairs are asked the same prompts, and a table has none.",
        )
    if arguments.speed and len(to_measure) < 2:
        raise ConfigError(
            "--speed needs two pairs that are measured now.",
            "Name two pairs: what else a machine does on another day is no difference between drafters.",
        )
    for settings in to_measure:
        if settings.pair.drafter is None:
            raise ConfigError(
                f"The pair {settings.pair.name!r} has no drafter, so there is no acceptance to compare.",
                "Name a pair that has one.",
            )
        if isinstance(reference, Baseline):
            _check_known(reference, settings, other_prompts=arguments.unpaired)
    endpoints = [settings.pair.endpoint for settings in to_measure if settings.pair.endpoint is not None]
    if len(set(endpoints)) < len(endpoints):
        raise ConfigError(
            f"Both pairs would be asked of one server, {endpoints[0]}.",
            "Give each pair an endpoint of its own, or let the engine be started.",
        )


def _check_known(reference: Baseline, settings: Settings, *, other_prompts: bool) -> None:
    """Refuse before anything is measured what is known not to be comparable."""
    from pytest_speedbench.baselines.known import known_differences
    from pytest_speedbench.measure.asked import Splits

    split = Splits(Path()).whole(settings.split, settings.pair.model)
    found = known_differences(reference, settings, split)
    _refuse([difference for difference in found if not (other_prompts and difference.name == "split_sha256")])


def _policy(arguments: argparse.Namespace, candidate: Baseline | PublishedFigures | None) -> GatePolicy:
    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.measure.asked import Splits

    if isinstance(candidate, Baseline):
        return policy_of(settings_of_stored(arguments, candidate), {prompt.category for prompt in candidate.prompts})
    settings = settings_of_pair(arguments, arguments.candidate)
    return policy_of(settings, Splits(Path()).whole(settings.split, settings.pair.model).categories)


def _measured(to_measure: Sequence[Settings]) -> list[Run]:
    """Measure these pairs, one after the other, after a look at whether each can run."""
    if not to_measure:
        return []
    split = asked(to_measure[0])

    from pytest_speedbench.baselines import baselines_on
    from pytest_speedbench.gate.served import check_target
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.report.progress import progress_log

    runs = []
    with Runner(to_measure[0].cache_dir) as runner:
        for settings in to_measure:
            tell_dropped(settings)
            runner.check(settings.pair)
        for settings in to_measure:
            title = f"speedbench: {settings.pair.name} on {split.name}"
            to_stderr(f"{title}\n")
            if settings.pair.server is not None:
                known = baselines_on(settings.baseline_dir, settings.pair.name, split.name)
                check_target(runner, settings.pair, split, settings, known)
            with progress_log(to_stderr, title) as report:
                run = runner.measure(settings.pair, split, settings.sampling, settings.load, report, settings.timeouts)
            runs.append(run)
    return runs


def _speed(reference: Settings, candidate: Settings, policy: GatePolicy) -> SpeedResult:
    """Measure the speed of both in turn, ABBA, and judge it."""
    from dataclasses import replace

    from pytest_speedbench.config import Load
    from pytest_speedbench.gate.speed import compare_speed
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.sweeps.interleaved import measure_interleaved

    with Runner(candidate.cache_dir) as runner:

        def ask(pair: Pair, concurrency: int, prompts: int | None) -> Run:
            if prompts is None:
                to_stderr(f"speedbench: {pair.name}, a round at concurrency {concurrency}\n")
            split = asked(replace(candidate, prompts=prompts or candidate.prompts))
            return runner.measure(pair, split, candidate.sampling, Load(concurrency), None, candidate.timeouts)

        measured = measure_interleaved(
            ask,
            reference.pair,
            candidate.pair,
            concurrencies=(candidate.load.concurrency,),
            rounds=candidate.rounds,
            prompts=len(asked(candidate)),
        )
    return compare_speed(measured, policy, against=reference.pair.name)


def _speed_lines(pair: str, result: SpeedResult) -> list[str]:
    from pytest_speedbench.report.speed import slowdown_message, speed_entry, speed_lines

    return [slowdown_message(pair, result)] if result.failed else speed_lines(speed_entry("", pair, result))


def _key(side: Run | Baseline) -> AcceptanceKey:
    from pytest_speedbench.baselines import AcceptanceKey, Baseline

    return side.comparable_key if isinstance(side, Baseline) else AcceptanceKey.of(side)


def _check_comparable(reference: AcceptanceKey, candidate: AcceptanceKey, *, other_prompts: bool) -> None:
    """Refuse to compare unlike things. A missing record is not one: the gate names it, prompt by prompt."""
    from msgspec.structs import replace

    from pytest_speedbench.baselines import acceptance_differences

    if candidate.source is None:
        candidate = replace(candidate, source=reference.source)
    if other_prompts:
        candidate = replace(candidate, split_sha256=reference.split_sha256)
    _refuse(acceptance_differences(reference, candidate))


def _refuse(found: Sequence[Difference]) -> None:
    if found:
        differences = "; ".join(
            f"{d.field}: {d.baseline} in the reference, {d.measured} in the candidate" for d in found
        )
        raise BaselineError(
            f"The two sides are not comparable: {differences}.",
            "Measure under the same settings (--split, --max-tokens, --draft-length); prompts that differ on purpose "
            "can be compared with --unpaired.",
        )
