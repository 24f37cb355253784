"""``[tool.speedbench]`` of a ``pyproject.toml``: defaults, named pairs, named splits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_speedbench.config import Pair
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.options import Kind
from pytest_speedbench.readers import read_value
from pytest_speedbench.settings.layers import Layer, did_you_mean, read_layer
from pytest_speedbench.settings.pairs import bundled_pairs, read_pair
from pytest_speedbench.tolerance import Tolerance, parse_tolerance

_SPLIT_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "source": "text",
        "columns": "columns",
        "allow_placeholders": "placeholders",
        "isl": "input length",
        "where": "conditions",
        "sha256": "text",
        "tolerance": "tolerance",
    }
)


@dataclass(frozen=True, slots=True)
class Project:
    """What ``[tool.speedbench]`` says.

    Attributes:
        defaults: settings of every measurement.
        pairs: the named pairs, the bundled ones among them.
        pair_tolerances: by the pair's name. Not part of a pair: equal pairs share an engine, however they are gated.
        splits: what is said of a split, by its name or file, as the split is asked for.
    """

    defaults: Layer
    pairs: Mapping[str, Pair]
    pair_tolerances: Mapping[str, Tolerance]
    splits: Mapping[str, Mapping[str, Any]]


def read_project_file(path: Path) -> dict[str, Any]:
    """The ``[tool.speedbench]`` table of a ``pyproject.toml``; empty if there is no such file or table.

    Raises:
        ConfigError: the file cannot be read, or the entry is no table.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("speedbench", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "Correct the file.") from None
    if not isinstance(table, dict):
        raise ConfigError(f"tool.speedbench in {path} is no table.", "Write [tool.speedbench].")
    return table


def read_project(table: Mapping[str, Any]) -> Project:
    """Read the ``[tool.speedbench]`` table.

    Raises:
        ConfigError: unknown keys, wrong kinds, incomplete pairs.
    """
    raw = dict(table)
    pairs, splits = _tables(raw, "pairs"), _tables(raw, "splits")
    return Project(
        read_layer("[tool.speedbench]", raw),
        MappingProxyType({**bundled_pairs(), **{name: read_pair(name, pair) for name, pair in pairs.items()}}),
        MappingProxyType(
            {
                name: parse_tolerance(table["tolerance"], f"tolerance in [tool.speedbench.pairs.{name}]")
                for name, table in pairs.items()
                if "tolerance" in table
            }
        ),
        MappingProxyType({name: _read_split(name, table) for name, table in splits.items()}),
    )


def _tables(raw: dict[str, Any], key: str) -> Mapping[str, Mapping[str, Any]]:
    """Take the named tables under one key out of the project's table."""
    tables = raw.pop(key, {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise ConfigError(
            f"{key} in [tool.speedbench] is not a table of tables.",
            f"Write each {key.removesuffix('s')} as [tool.speedbench.{key}.NAME].",
        )
    return tables


def _read_split(name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    where = f"[tool.speedbench.splits.{name}]"
    for key in table:
        if key not in _SPLIT_KINDS:
            raise ConfigError(
                f"There is no setting {key!r} in {where}.",
                f"{did_you_mean(key, _SPLIT_KINDS)} A file's name stands in quotes: "
                '[tool.speedbench.splits."FILE.jsonl"].',
            )
    return MappingProxyType(
        {key: read_value(_SPLIT_KINDS[key], value, f"{key} in {where}") for key, value in table.items()}
    )
