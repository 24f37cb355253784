"""``speedbench show``: one prompt of a baseline, with its text, its counts and the outputs stored for it."""

from __future__ import annotations

import argparse
from itertools import islice
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import add_named_options, say, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_speedbench.baselines import Baseline, PromptEntry
    from pytest_speedbench.outputs import StoredOutput
    from pytest_speedbench.splits import Prompt, Split

_SETTINGS = ("baseline-dir", "split", "columns")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "show",
        help="show a prompt of a baseline: its text, what was accepted of it, the outputs stored for it",
        description="The text of a prompt that a gate names by its id, with its counts in the baseline and, where "
        "--speedbench-record-outputs stored them, the target's outputs. Nothing is measured; texts are read from the "
        "split, which must be at hand.",
        allow_abbrev=False,
    )
    parser.add_argument("baseline", metavar="BASELINE", help="a baseline's file, or PAIR/SPLIT of a stored one")
    parser.add_argument("prompts", metavar="ID", nargs="+", help="the id of a prompt, as a gate names it")
    add_named_options(parser, _SETTINGS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the prompts.

    Raises:
        SpeedbenchError: settings, the baseline, the split or stored outputs cannot be used, or there is no such prompt.
    """
    from pytest_speedbench.cli.gating import stored_baseline
    from pytest_speedbench.errors import BaselineError, closest

    baseline = stored_baseline(arguments.baseline, settings_of(arguments).baseline_dir)
    entries = {entry.id: entry for entry in baseline.prompts}
    for name in arguments.prompts:
        if name not in entries:
            raise BaselineError(
                f"The baseline of {baseline.pair!r} on {baseline.split!r} has no prompt {name!r}.",
                f"{closest(name, entries)}It has {len(entries)}, such as {next(iter(entries))!r}.",
            )
    split = _split(arguments, baseline)
    texts = {prompt.question_id: prompt for prompt in split.prompts}
    outputs = _outputs(arguments, baseline)
    for number, name in enumerate(arguments.prompts):
        say(*([""] if number else []), *_counts(baseline, entries[name]))
        if split.sha256 != baseline.acceptance_key.split_sha256:
            say(f"  The split {split.name} has changed since: its texts may be other ones than those that were asked.")
        if name in texts:
            say(*_conversation(texts[name], outputs.get(name, ())))
        else:
            say("  The split no longer has this prompt.")
    return 0


def _split(arguments: argparse.Namespace, baseline: Baseline) -> Split:
    from pathlib import Path

    from pytest_speedbench.measure.asked import Splits

    if getattr(arguments, "speedbench_split", None) is None:
        arguments.speedbench_split = baseline.split
    settings = settings_of(arguments)
    return Splits(Path()).whole(settings.split, baseline.recorded.target)


def _counts(baseline: Baseline, entry: PromptEntry) -> Iterator[str]:
    record = entry.record(baseline.source)
    yield f"{entry.id} ({entry.category}, {entry.turns} turn{'s' * (entry.turns > 1)})"
    length = "no acceptance length" if record.al is None else f"acceptance length {record.al:.3f}"
    yield (
        f"  {length}: {record.accepted_tokens} draft tokens accepted in {record.verify_steps} verify steps, "
        f"{entry.output_tokens} output tokens"
    )
    yield "  steps that accepted 0, 1, … tokens: " + ", ".join(map(str, entry.histogram))


def _outputs(arguments: argparse.Namespace, baseline: Baseline) -> dict[str, list[str]]:
    """The texts of the stored outputs of every asked prompt, a turn each; none where nothing is stored."""
    from pytest_speedbench.baselines import outputs_path
    from pytest_speedbench.engines.checkpoints import open_checkpoint
    from pytest_speedbench.measure.prompts import LateEncoder
    from pytest_speedbench.outputs import read_outputs

    path: Path = outputs_path(settings_of(arguments).baseline_dir, baseline.pair, baseline.split)
    if not path.exists():
        return {}
    rows = read_outputs(path).rows
    encoder = LateEncoder(open_checkpoint(baseline.recorded.target, download=True).folder)
    wanted = [entry for entry in baseline.prompts if entry.id in arguments.prompts]
    return {
        entry.id: [encoder.decode(ids) for ids in islice(_turns(rows, entry.prompt_sha256), entry.turns)]
        for entry in wanted
    }


def _turns(rows: Sequence[StoredOutput], prompt_sha256: str) -> Iterator[tuple[int, ...]]:
    """The outputs of a conversation: each later prompt begins with the one before, and is the shortest such."""
    from pytest_speedbench.measure.prompts import ids_hash

    here = next((row for row in rows if ids_hash(row.prompt_ids) == prompt_sha256), None)
    while here is not None:
        yield here.output_ids
        begin = here.prompt_ids
        longer = [row for row in rows if len(row.prompt_ids) > len(begin) and row.prompt_ids[: len(begin)] == begin]
        here = min(longer, key=lambda row: len(row.prompt_ids), default=None)


def _conversation(prompt: Prompt, outputs: Sequence[str]) -> Iterator[str]:
    if prompt.system:
        yield from _said("system", prompt.system)
    for number, turn in enumerate(prompt.turns):
        yield from _said("user", turn)
        if number < len(outputs):
            yield from _said("target", outputs[number])


def _said(who: str, text: str) -> Iterator[str]:
    yield f"  {who}:"
    yield from (f"    {line}" for line in text.splitlines() or [""])
