"""Options, environment, marker and ``[tool.speedbench]`` become one frozen :class:`Settings`."""

from pytest_speedbench.settings.layers import (
    COMMAND_LINE,
    ENVIRONMENT,
    OUTER_SOURCES,
    Layer,
    did_you_mean,
    read_environment,
    read_layer,
)
from pytest_speedbench.settings.pairs import DEFAULT_MODEL, DEFAULT_PAIR, bundled_pairs, derived_pair_name
from pytest_speedbench.settings.project import Project, read_project, read_project_file
from pytest_speedbench.settings.resolve import DEFAULT_SPLIT, Settings, resolve

__all__ = [
    "COMMAND_LINE",
    "DEFAULT_MODEL",
    "DEFAULT_PAIR",
    "DEFAULT_SPLIT",
    "ENVIRONMENT",
    "OUTER_SOURCES",
    "Layer",
    "Project",
    "Settings",
    "bundled_pairs",
    "derived_pair_name",
    "did_you_mean",
    "read_environment",
    "read_layer",
    "read_project",
    "read_project_file",
    "resolve",
]
