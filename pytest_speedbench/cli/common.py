"""What the commands share: the measurement options, the settings they give, places to write to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.errors import ConfigError
from pytest_speedbench.options import OPTIONS, Option
from pytest_speedbench.places import probe, probe_file
from pytest_speedbench.printable import printable, printable_in_colour

if TYPE_CHECKING:
    from pytest_speedbench.settings import Settings
    from pytest_speedbench.splits import Split

_GATE_OPTIONS = (
    "baseline-dir",
    "update",
    "repeat",
    "tolerance",
    "policy",
    "outputs",
    "family-error",
    "sequential",
    "stop-at-first",
    "rounds",
    "conformance-report",
    "record-outputs",
    "mode",
)


def add_measurement_options(
    parser: argparse.ArgumentParser, *, without: Collection[str] = (), also: Collection[str] = ()
) -> None:
    """Add the plugin's options that say what is measured and how, without their ``speedbench-`` prefix.

    Args:
        parser: of one command.
        without: names of options that this command has in a form of its own.
        also: names of options that other commands do not have.
    """
    group = parser.add_argument_group(
        "what is measured",
        "What is left out comes from SPEEDBENCH_… variables, then from [tool.speedbench] in ./pyproject.toml.",
    )
    for option in OPTIONS:
        if option.name in also or (option.name not in _GATE_OPTIONS and option.name not in without):
            _add(group, option)


def add_gate_options(parser: argparse.ArgumentParser, *, without: Collection[str] = ()) -> None:
    """Add the plugin's options that say with what a measurement is compared, and what counts as worse.

    ``without`` are names of options that this command lacks.
    """
    group = parser.add_argument_group("how it is judged")
    for option in OPTIONS:
        gates = option.name in ("baseline-dir", "tolerance", "policy", "outputs", "family-error")
        if gates and option.name not in without:
            _add(group, option)


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    text = option.help.replace("--speedbench-", "--")
    if option.kind == "flag":
        group.add_argument(f"--{option.name}", dest=option.dest, action="store_true", default=None, help=text)
    else:
        group.add_argument(f"--{option.name}", dest=option.dest, metavar=option.metavar, default=None, help=text)


def add_named_options(parser: argparse.ArgumentParser, names: Collection[str]) -> None:
    """Add a few of the plugin's options that take a value, by their names without ``speedbench-``."""
    for option in OPTIONS:
        if option.name in names:
            parser.add_argument(
                f"--{option.name}", dest=option.dest, metavar=option.metavar, default=None, help=option.help
            )


def add_json_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--json FILE``; :func:`check_writable` it before measuring."""
    parser.add_argument("--json", dest="json", type=Path, metavar="FILE", help="write all figures to FILE as JSON")


def settings_of(arguments: argparse.Namespace, *, may_replay: bool = False) -> Settings:
    """The settings in force: the project in the current folder, the environment, the command line.

    Raises:
        ConfigError: something in them cannot be used, or they ask for a replay of a command that decodes.
    """
    from pytest_speedbench.settings import (
        COMMAND_LINE,
        read_environment,
        read_layer,
        read_project,
        read_project_file,
        resolve,
    )

    project = read_project(read_project_file(Path("pyproject.toml")))
    given = {o.key: value for o in OPTIONS if (value := getattr(arguments, o.dest, None)) is not None}
    settings = resolve(project, (read_environment(os.environ), read_layer(COMMAND_LINE, given)))
    if settings.mode == "replay" and not may_replay:
        raise ConfigError(
            "The mode is replay, and this command decodes.",
            "Leave the mode out; speedbench replay judges a drafter on stored outputs.",
        )
    return settings


def tell_dropped(settings: Settings) -> None:
    """Say what was said of the pair for another engine, and does not hold on the one that is measured."""
    for words in settings.pair.dropped:
        to_stderr(f"speedbench: {words}\n")


def asked(settings: Settings) -> Split:
    """The prompts that these settings ask; a split's path is relative to the current folder.

    Raises:
        SplitError: no such split, category, or number of prompts.
        EngineError: the prompts depend on the target's tokenizer, and the model cannot be found.
    """
    from pytest_speedbench.measure.asked import Splits

    split = Splits(Path()).asked(settings)
    if split.control:
        from pytest_speedbench.splits.random_tokens import CONTROL_WARNING

        to_stderr(f"speedbench: warning: {CONTROL_WARNING}\n")
    return split


def check_writable(file: Path | None) -> None:
    """Refuse a file that could not be written after all the measuring; ``None`` is no file.

    Raises:
        ConfigError: its folder does not exist, or it cannot be written.
    """
    if file is None:
        return
    if not file.parent.is_dir():
        raise ConfigError(f"The folder of {file} does not exist.", "Make it first, or name another file.")
    try:
        probe_file(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}).", "Name another file.") from None


def check_folder(folder: Path | None) -> None:
    """Refuse a folder, made or not, in which nothing could be written after all the measuring; ``None`` is no folder.

    Raises:
        ConfigError: nothing can.
    """
    try:
        if folder is not None:
            probe(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror}).", "Name another folder.") from None


def to_stderr(text: str) -> None:
    """Write to stderr at once: progress and notes, so that stdout holds the result only."""
    sys.stderr.write(printable(text))
    sys.stderr.flush()


def say(*lines: str) -> None:
    """Write lines of the result, which may be coloured."""
    for line in lines:
        print(printable_in_colour(line))  # noqa: T201


def terminal_width(*, default: int = 120) -> int:
    """Columns of the terminal that stdout is; ``default`` if it is none."""
    if not sys.stdout.isatty():
        return default
    import shutil

    return shutil.get_terminal_size((default, 24)).columns
