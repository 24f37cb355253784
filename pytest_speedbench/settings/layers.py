"""What one source says: the project, a marker, the environment, the command line or a call, checked and converted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_speedbench.errors import ConfigError, closest
from pytest_speedbench.options import OPTIONS, Option
from pytest_speedbench.readers import read_value

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"
OUTER_SOURCES = (ENVIRONMENT, COMMAND_LINE)
"""Sources outside of the project's files: whoever starts pytest."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings that one source gives, with the words that name the source in messages."""

    source: str
    values: Mapping[str, Any]

    def name(self, key: str) -> str:
        """How the user wrote ``key`` there."""
        option = BY_KEY[key]
        if self.source == COMMAND_LINE:
            return option.flag
        if self.source == ENVIRONMENT:
            return option.variable
        return f"{key} in {self.source}"


BY_KEY: Mapping[str, Option] = MappingProxyType({option.key: option for option in OPTIONS})
"""The options by their keys."""


def read_layer(source: str, raw: Mapping[str, Any]) -> Layer:
    """Check and convert the values of one source.

    Raises:
        ConfigError: an unknown key, or a value of the wrong kind.
    """
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in BY_KEY:
            raise ConfigError(f"There is no setting {key!r} ({source}).", did_you_mean(key, BY_KEY))
        values[key] = read_value(BY_KEY[key].kind, value, Layer(source, {}).name(key))
    return Layer(source, MappingProxyType(values))


def read_environment(environ: Mapping[str, str]) -> Layer:
    """The layer of ``SPEEDBENCH_*`` variables; empty ones count as unset.

    Raises:
        ConfigError: a ``SPEEDBENCH_`` variable that no setting reads, or a value of the wrong kind.
    """
    by_variable = {option.variable: option.key for option in OPTIONS}
    raw: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith("SPEEDBENCH_") or not value:
            continue
        if variable not in by_variable:
            raise ConfigError(
                f"No setting reads the environment variable {variable}.", did_you_mean(variable, by_variable)
            )
        raw[by_variable[variable]] = value
    return read_layer(ENVIRONMENT, raw)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The way out for a misspelt name: the closest known one, and all of them."""
    names = sorted(known)
    return f"{closest(word, names)}Known are: {', '.join(names)}."
