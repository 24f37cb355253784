"""Options, environment, marker and ``[tool.speedbench]`` become one frozen :class:`Settings`, here and only here.

From weakest to strongest: built-in defaults, ``[tool.speedbench]``, the test's marker, ``SPEEDBENCH_*`` variables, the
command line. Arguments that a test passes in code are stronger still: the test means exactly them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_speedbench.config import (
    DEFAULT_DRAFT_LENGTH,
    DEFAULT_TOLERANCE,
    Drafter,
    EngineArg,
    Load,
    Pair,
    Sampling,
    Timeouts,
)
from pytest_speedbench.errors import ConfigError, closest
from pytest_speedbench.options import OPTIONS, Kind, Option

DEFAULT_PAIR = "tiny-eagle3"
DEFAULT_SPLIT = "mini"
DEFAULT_ENGINE = "transformers"
DEFAULT_MODEL = "bundled:target"
DEFAULT_MAX_OUTPUT_TOKENS = 64
DEFAULT_TIMEOUTS = Timeouts()

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"
OUTER_SOURCES = (ENVIRONMENT, COMMAND_LINE)
"""Sources outside of the project's files: whoever starts pytest."""

_BUNDLED_ARGS: Mapping[str, Mapping[str, EngineArg]] = MappingProxyType(
    {
        "transformers": MappingProxyType({"device": "cpu", "dtype": "float32", "threads": 1}),
        "vllm": MappingProxyType({"dtype": "float32", "enforce_eager": True}),
        "vllm-serve": MappingProxyType({"dtype": "float32", "enforce_eager": True}),
    }
)
_PAIR_KEYS = ("engine", "model", "drafter", "draft_length", "engine_args", "python", "endpoint")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest relative drop of a category's acceptance length that is no regression, 0 ≤ drop < 1."""

    default: float = DEFAULT_TOLERANCE
    by_category: Mapping[str, float] = field(default_factory=dict)

    def of(self, category: str) -> float:
        """The tolerance of one category."""
        return self.by_category.get(category, self.default)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that one measurement and its gate need to know."""

    pair: Pair
    split: str
    categories: tuple[str, ...] | None
    prompts: int | None
    load: Load
    sampling: Sampling
    baseline_dir: Path
    update: bool
    tolerance: Tolerance
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings that one source gives, with the words that name the source in messages."""

    source: str
    values: Mapping[str, Any]

    def name(self, key: str) -> str:
        """How the user wrote ``key`` there."""
        option = _BY_KEY[key]
        if self.source == COMMAND_LINE:
            return option.flag
        if self.source == ENVIRONMENT:
            return option.variable
        return f"{key} in {self.source}"


_BY_KEY: dict[str, Option] = {option.key: option for option in OPTIONS}


def read_layer(source: str, raw: Mapping[str, Any]) -> Layer:
    """Check and convert the values of one source.

    Raises:
        ConfigError: an unknown key, or a value of the wrong kind.
    """
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in _BY_KEY:
            raise ConfigError(f"There is no setting {key!r} ({source}).", did_you_mean(key, _BY_KEY))
        values[key] = _convert(_BY_KEY[key], value, Layer(source, {}).name(key))
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


@dataclass(frozen=True, slots=True)
class Project:
    """What ``[tool.speedbench]`` says: default settings and named pairs."""

    defaults: Layer
    pairs: Mapping[str, Pair]


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
    pairs = raw.pop("pairs", {})
    if not isinstance(pairs, Mapping) or not all(isinstance(pair, Mapping) for pair in pairs.values()):
        raise ConfigError(
            "pairs in [tool.speedbench] is not a table of tables.", "Write each pair as [tool.speedbench.pairs.NAME]."
        )
    named = {name: _read_pair(name, pair) for name, pair in pairs.items()}
    return Project(read_layer("[tool.speedbench]", raw), MappingProxyType({**bundled_pairs(), **named}))


def bundled_pairs() -> dict[str, Pair]:
    """The pairs of the bundled tiny family.

    They say where and how to compute, so that their baselines hold on machines with a GPU or with many cores too.
    """
    drafters = {
        "tiny-target": None,
        "tiny-draft": "draft_model:bundled:draft",
        "tiny-ngram": "ngram",
        "tiny-eagle3": "eagle3:bundled:eagle3",
        "tiny-eagle3-pruned": "eagle3:bundled:eagle3-pruned",
    }
    return {
        name: Pair(
            name,
            DEFAULT_ENGINE,
            DEFAULT_MODEL,
            Drafter.parse(text) if text else None,
            _BUNDLED_ARGS[DEFAULT_ENGINE],
        )
        for name, text in drafters.items()
    }


def resolve(layers: Sequence[Layer], pairs: Mapping[str, Pair]) -> Settings:
    """Merge layers, weakest first, into settings.

    Raises:
        ConfigError: contradictory options, an unknown pair, a drafter that cannot be read.
    """
    merged: dict[str, Any] = {}
    weak_engine = False
    for layer in layers:
        _refuse_contradictions(layer)
        # A model given closer to the user replaces a pair named further away, and the other way round.
        if "model" in layer.values:
            merged.pop("pair", None)
            merged.pop("drafter", None)
        if "pair" in layer.values:
            for key in ("model", "drafter", "draft_length", "engine_args", "python", "endpoint"):
                merged.pop(key, None)
            # A project's default engine yields to the pair's own; one asked for outside of the code does not.
            if weak_engine:
                merged.pop("engine", None)
        if "engine" in layer.values:
            weak_engine = layer.source not in OUTER_SOURCES
            if layer.values["engine"] != merged.get("engine"):
                for key in ("engine_args", "python", "endpoint"):
                    merged.pop(key, None)
        engine_args = {**merged.get("engine_args", {}), **layer.values.get("engine_args", {})}
        merged.update(layer.values)
        merged["engine_args"] = engine_args
    return Settings(
        pair=_resolve_pair(merged, pairs),
        split=merged.get("split", DEFAULT_SPLIT),
        categories=merged.get("categories"),
        prompts=merged.get("prompts"),
        load=Load(merged.get("concurrency", 1)),
        sampling=Sampling(merged.get("max_tokens", DEFAULT_MAX_OUTPUT_TOKENS)),
        baseline_dir=merged.get("baseline_dir", Path("baselines")),
        update=merged.get("update", False),
        tolerance=merged.get("tolerance", Tolerance()),
        timeouts=Timeouts(
            merged.get("start_timeout", DEFAULT_TIMEOUTS.start_s),
            merged.get("silence_timeout", DEFAULT_TIMEOUTS.silence_s),
        ),
    )


def _refuse_contradictions(layer: Layer) -> None:
    values = layer.values
    if "pair" in values and "model" in values:
        raise ConfigError(
            f"{layer.name('pair')} and {layer.name('model')} contradict each other: a pair has its own model.",
            "Give one of them; to gate another drafter against a pair's baseline, add the drafter only.",
        )
    if str(values.get("drafter", "")) == "none" and "draft_length" in values:
        raise ConfigError(
            f"{layer.name('draft_length')} contradicts the drafter 'none'.",
            "Leave the draft length out, or name a drafter.",
        )


def _resolve_pair(merged: Mapping[str, Any], pairs: Mapping[str, Pair]) -> Pair:
    has_own = "model" in merged or "drafter" in merged
    name = merged.get("pair", None if has_own else DEFAULT_PAIR)
    drafter_text = merged.get("drafter")
    if name is None:
        base = Pair("", DEFAULT_ENGINE, merged.get("model", DEFAULT_MODEL))
    elif name in pairs:
        base = pairs[name]
    else:
        raise ConfigError(f"There is no pair named {name!r}.", did_you_mean(name, pairs))
    length = merged.get("draft_length", base.drafter.draft_length if base.drafter else DEFAULT_DRAFT_LENGTH)
    drafter = base.drafter
    if drafter_text == "none":
        drafter = None
    elif drafter_text is not None:
        drafter = Drafter.parse(drafter_text, length)
    elif drafter is not None:
        drafter = replace(drafter, draft_length=length)
    elif "draft_length" in merged:
        raise ConfigError(
            "A draft length is given, but the pair has no drafter.",
            f"Leave {_BY_KEY['draft_length'].flag} out, or give {_BY_KEY['drafter'].flag}.",
        )
    pair = replace(base, engine=merged.get("engine", base.engine), drafter=drafter)
    if pair.engine != base.engine:
        # Arguments belong to the engine they were written for.
        bundled = base == bundled_pairs().get(base.name) and "endpoint" not in merged
        own = _BUNDLED_ARGS.get(pair.engine, {}) if bundled else {}
        pair = replace(pair, engine_args=MappingProxyType(dict(own)), python=None, endpoint=None)
    pair = replace(
        pair,
        engine_args=MappingProxyType({**pair.engine_args, **merged.get("engine_args", {})}),
        python=merged.get("python", pair.python),
        endpoint=merged.get("endpoint", pair.endpoint),
    )
    return pair if pair.name else replace(pair, name=derived_pair_name(pair))


def derived_pair_name(pair: Pair) -> str:
    """The name of a pair that was given by options: engine, model, drafter method and drafter, made safe for a file."""
    parts = [pair.engine, _stem(pair.model)]
    if pair.drafter is not None:
        parts.append(pair.drafter.method.value)
        if pair.drafter.model is not None:
            parts.append(_stem(pair.drafter.model))
    text = "-".join(parts)
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in text).strip(".-")


def _stem(model: str) -> str:
    return model.replace("bundled:", "tiny-").rstrip("/").rsplit("/", 1)[-1]


def _read_pair(name: str, table: Mapping[str, Any]) -> Pair:
    where = f"[tool.speedbench.pairs.{name}]"
    for key in table:
        if key not in _PAIR_KEYS:
            raise ConfigError(f"There is no setting {key!r} in {where}.", did_you_mean(key, _PAIR_KEYS))
    if "model" not in table:
        raise ConfigError(f"{where} names no model.", 'Add model = "...", a folder or a hub id.')
    for key in ("engine", "model", "drafter", "python", "endpoint"):
        if key in table and (not isinstance(table[key], str) or not table[key]):
            raise ConfigError(f"{key} in {where} is {table[key]!r}.", "Give a text that is not empty.")
    engine_args = _table(table.get("engine_args", {}), f"engine_args in {where}")
    length = DEFAULT_DRAFT_LENGTH
    if "draft_length" in table:
        length = _count(table["draft_length"], f"draft_length in {where}")
    text = table.get("drafter", "none")
    if text == "none" and "draft_length" in table:
        raise ConfigError(f"{where} has a draft_length but no drafter.", "Add a drafter or remove the draft_length.")
    return Pair(
        name=name,
        engine=table.get("engine", DEFAULT_ENGINE),
        model=table["model"],
        drafter=None if text == "none" else Drafter.parse(text, length),
        engine_args=MappingProxyType(engine_args),
        python=table.get("python"),
        endpoint=table.get("endpoint"),
    )


def _convert(option: Option, value: Any, name: str) -> Any:
    return _READERS[option.kind](value, name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} is {value!r}.", "Give a text that is not empty.")
    return value.strip()


def _folder(value: Any, name: str) -> Path:
    return value if isinstance(value, Path) else Path(_text(value, name))


def _count(value: Any, name: str) -> int:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise ConfigError(
                f"{name} is {value!r}, which is no whole number.", "Give a number of at least 1."
            ) from None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} is {value!r}.", "Give a whole number of at least 1.")
    return value


def _seconds(value: Any, name: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(value, bool) or not 0 < seconds < float("inf"):
        raise ConfigError(f"{name} is {value!r}.", "Give a number of seconds above 0.")
    return seconds


def _table(value: Any, name: str) -> dict[str, EngineArg]:
    if isinstance(value, str):
        value = _parse_table(value, name)
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} is no table.", "Write NAME=VALUE,NAME=VALUE or { name = value }.")
    return dict(value)


def _parse_table(text: str, name: str) -> Any:
    """A JSON object, or ``NAME=VALUE`` pairs whose values are JSON where they can be and else text."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{name} is no JSON object: {error}.", "Mend it, or write NAME=VALUE pairs.") from None
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"{name} holds {part!r}, which names no value.",
                "Write NAME=VALUE,NAME=VALUE; give values with commas in them as a JSON object.",
            )
        try:
            values[key.strip()] = json.loads(value)
        except ValueError:
            values[key.strip()] = value.strip()
    return values


def _flag(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ConfigError(f"{name} is {value!r}.", "Give true or false.")


def _names(value: Any, name: str) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ConfigError(f"{name} is {value!r}.", "Give names, separated by commas.")
    names = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not names:
        raise ConfigError(f"{name} names nothing.", "Give at least one name, or leave it out for all.")
    return names


def parse_tolerance(value: Any, name: str) -> Tolerance:
    """Read ``"2%"``, ``0.02``, ``"2%,multilingual=5%"`` or a table ``{default = "2%", multilingual = "5%"}``.

    Raises:
        ConfigError: it cannot be read, or a share is not in [0, 1).
    """
    if isinstance(value, Tolerance):
        return value
    parts: list[tuple[str, Any]]
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, str):
        parts = [
            ("default" if "=" not in part else part.split("=")[0].strip(), part.split("=")[-1])
            for part in value.split(",")
        ]
    else:
        parts = [("default", value)]
    shares = {category: _share(share, name) for category, share in parts}
    if len(shares) != len(parts):
        raise ConfigError(f"{name} gives two tolerances for one category.", "Give each category once.")
    default = shares.pop("default", DEFAULT_TOLERANCE)
    return Tolerance(default, MappingProxyType(shares))


_READERS: Mapping[Kind, Callable[[Any, str], Any]] = {
    "text": _text,
    "count": _count,
    "seconds": _seconds,
    "names": _names,
    "table": _table,
    "tolerance": parse_tolerance,
    "folder": _folder,
    "flag": _flag,
}


def _share(value: Any, name: str) -> float:
    problem = ConfigError(
        f"{name} holds {value!r}, which is no tolerance.",
        "Write a share such as 2% or 0.02, at least 0 and below 100%.",
    )
    if isinstance(value, bool):
        raise problem
    try:
        text = str(value).strip()
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise problem from None
    if not 0 <= share < 1:
        raise problem
    return share


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The way out for a misspelt name: the closest known one, and all of them."""
    names = sorted(known)
    return f"{closest(word, names)}Known are: {', '.join(names)}."
