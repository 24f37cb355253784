"""What the commands that gate share: baselines as the command line names them, and the settings of a gate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import settings_of
from pytest_speedbench.errors import BaselineError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.gate import GatePolicy
    from pytest_speedbench.settings import Settings

_RECORD_COMMAND = "speedbench calibrate 5"


def is_file(name: str) -> bool:
    """Whether a name is one of a file, and not one of a pair or of ``PAIR/SPLIT``."""
    return name.endswith(".json") or Path(name).is_file()


def is_stored(name: str) -> bool:
    """Whether a name is one of a file or of ``PAIR/SPLIT``, and not one of a pair alone."""
    return is_file(name) or "/" in name


def stored_baseline(name: str, folder: Path) -> Baseline:
    """The baseline of this name: a file, or ``PAIR/SPLIT`` in ``folder``, where baselines are kept.

    Raises:
        BaselineError: there is none, or it cannot be used.
    """
    from pytest_speedbench.baselines import list_baselines, load_baseline, read_baseline

    if is_file(name):
        return read_baseline(Path(name), record_command=_RECORD_COMMAND)
    pair, slash, split = name.rpartition("/")
    if not slash or not pair or not split:
        known = ", ".join(f"{path.parent.name}/{path.stem}" for path in list_baselines(folder)) or "none"
        raise BaselineError(
            f"{name!r} names no baseline.", f"Give a file, or PAIR/SPLIT of a baseline in {folder}; there are: {known}."
        )
    return load_baseline(folder, pair, split, record_command=f"{_RECORD_COMMAND} --pair {pair} --split {split}")


def settings_of_pair(arguments: argparse.Namespace, pair: str) -> Settings:
    """The settings in force for a named pair.

    Raises:
        ConfigError: there is no such pair, or something else cannot be used.
    """
    return settings_of(argparse.Namespace(**{**vars(arguments), "speedbench_pair": pair}))


def settings_of_stored(arguments: argparse.Namespace, baseline: Baseline) -> Settings:
    """The settings of a gate against or of a baseline, with the tolerances of its pair and split.

    Raises:
        ConfigError: something in them cannot be used.
    """
    from pytest_speedbench.settings import DEFAULT_PAIR, read_project, read_project_file

    pairs = read_project(read_project_file(Path("pyproject.toml"))).pairs
    # A pair that has no name in the project has no tolerance of its own there.
    pair = baseline.pair if baseline.pair in pairs else DEFAULT_PAIR
    return settings_of_pair(argparse.Namespace(**{**vars(arguments), "speedbench_split": baseline.split}), pair)


def policy_of(settings: Settings, categories: Collection[str]) -> GatePolicy:
    """Tolerances, error and what fails; ``categories`` are those that there are.

    Raises:
        ConfigError: a tolerance for a category that there is not.
    """
    from pytest_speedbench.gate import GatePolicy
    from pytest_speedbench.settings import did_you_mean

    for category in settings.tolerance.categories:
        if category not in categories:
            raise ConfigError(
                f"A tolerance is given for {category!r}, but there is no such category.",
                did_you_mean(category, categories),
            )
    return GatePolicy(settings.tolerance, settings.family_error, settings.policy, settings.outputs)
