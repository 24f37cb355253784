"""Options, environment, marker and ``[tool.speedbench]`` become one frozen :class:`Settings`, here and only here.

From weakest to strongest: built-in defaults, ``[tool.speedbench]``, the test's marker, ``SPEEDBENCH_*`` variables, the
command line. Arguments that a test passes in code are stronger still: the test means exactly them. The tolerance's
rules are merged one by one; those of the split, then those of the pair, come between the project's and the marker's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_speedbench.config import (
    DEFAULT_DRAFT_LENGTH,
    DEFAULT_FAMILY_ERROR,
    DEFAULT_ROUNDS,
    Drafter,
    EngineArg,
    GatePolicyName,
    Load,
    Mode,
    Pair,
    Sampling,
    Timeouts,
    user_cache_folder,
)
from pytest_speedbench.errors import ConfigError, closest
from pytest_speedbench.options import OPTIONS, Kind, Option
from pytest_speedbench.readers import read_value
from pytest_speedbench.splits.conditions import Condition
from pytest_speedbench.splits.source import SplitSource
from pytest_speedbench.tolerance import Tolerance, parse_tolerance

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
        "sglang": MappingProxyType({"dtype": "float32"}),
        "sglang-serve": MappingProxyType({"dtype": "float32"}),
    }
)
_PAIR_KEYS = ("engine", "model", "drafter", "draft_length", "engine_args", "python", "endpoint", "command", "tolerance")
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
_OF_A_SPLIT = ("columns", "allow_placeholders", "isl", "where")
"""Settings that say how one split is read, and mean nothing for another."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that one measurement and its gate need to know.

    Attributes:
        pair: what is measured.
        split: where the prompts come from.
        categories: the only ones asked; ``None`` for all.
        where: what every prompt asked meets.
        prompts: how many are asked; ``None`` for all.
        load: conversations at a time.
        sampling: how the target picks tokens, and the output limit.
        baseline_dir: where baselines are kept.
        update: whether passing tests write theirs.
        tolerance: how large a loss is accepted.
        policy: whether a verdict that is neither fails.
        family_error: the probability that a run in which nothing regressed fails, 0 < share < 0.5.
        sequential: whether a category is asked no further once its verdict is certain.
        repeat: how often the prompts are measured, at least 1.
        rounds: of a speed comparison, at least 3.
        timeouts: how long an engine may keep us waiting.
        mode: whether the engine decodes or stored outputs are judged.
        record_outputs: whether what a decoding run's target put out is stored beside the baseline.
        cache_dir: where token ids of large splits are kept; ``None`` for nowhere.
    """

    pair: Pair
    split: SplitSource
    categories: tuple[str, ...] | None
    where: tuple[Condition, ...]
    prompts: int | None
    load: Load
    sampling: Sampling
    baseline_dir: Path
    update: bool
    tolerance: Tolerance
    policy: GatePolicyName
    family_error: float
    sequential: bool
    repeat: int
    rounds: int
    timeouts: Timeouts
    mode: Mode
    record_outputs: bool
    cache_dir: Path | None


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
        values[key] = read_value(_BY_KEY[key].kind, value, Layer(source, {}).name(key))
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
        MappingProxyType({**bundled_pairs(), **{name: _read_pair(name, pair) for name, pair in pairs.items()}}),
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


def resolve(project: Project, closer: Sequence[Layer]) -> Settings:
    """Merge the project's defaults and closer layers, weakest first, into settings.

    Raises:
        ConfigError: contradictory options, an unknown pair, a drafter that cannot be read.
    """
    merged = _merge((project.defaults, *closer))
    _refuse_replay_of_itself(merged)
    pair, split = _resolve_pair(merged, project.pairs), merged.get("split", DEFAULT_SPLIT)
    of_split = project.splits.get(split, {})
    return Settings(
        pair=pair,
        split=_resolve_split(split, of_split, merged),
        categories=merged.get("categories"),
        where=(*of_split.get("where", ()), *merged.get("where", ())),
        prompts=merged.get("prompts"),
        load=Load(merged.get("concurrency", 1)),
        sampling=Sampling(merged.get("max_tokens", DEFAULT_MAX_OUTPUT_TOKENS)),
        baseline_dir=merged.get("baseline_dir", Path("baselines")),
        update=merged.get("update", False),
        tolerance=_resolve_tolerance(project, closer, split, pair.name),
        policy=merged.get("policy", "detect"),
        family_error=merged.get("family_error", DEFAULT_FAMILY_ERROR),
        sequential=merged.get("sequential", True),
        repeat=merged.get("repeat", 1),
        rounds=merged.get("rounds", DEFAULT_ROUNDS),
        timeouts=Timeouts(
            merged.get("start_timeout", DEFAULT_TIMEOUTS.start_s),
            merged.get("silence_timeout", DEFAULT_TIMEOUTS.silence_s),
        ),
        mode=merged.get("mode", "decode"),
        record_outputs=merged.get("record_outputs", False),
        cache_dir=merged["cache_dir"] if "cache_dir" in merged else user_cache_folder(),
    )


def _refuse_replay_of_itself(merged: Mapping[str, Any]) -> None:
    if merged.get("mode") != "replay":
        return
    for key, what in (("update", "become a baseline"), ("record_outputs", "record outputs")):
        if merged.get(key):
            raise ConfigError(
                f"A replayed run cannot {what}: nothing is decoded.",
                f"Leave {_BY_KEY['mode'].flag} or {_BY_KEY[key].flag} out.",
            )


def _merge(layers: Sequence[Layer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    weak_engine = False
    for layer in layers:
        _refuse_contradictions(layer)
        if "split" in layer.values:
            _forget(merged, _OF_A_SPLIT)
        # A model given closer to the user replaces a pair named further away, and the other way round.
        if "model" in layer.values:
            _forget(merged, ("pair", "drafter"))
        if "pair" in layer.values:
            _forget(merged, ("model", "drafter", "draft_length", "engine_args", "python", "endpoint", "command"))
            # A project's default engine yields to the pair's own; one asked for outside of the code does not.
            if weak_engine:
                merged.pop("engine", None)
        if "engine" in layer.values:
            weak_engine = layer.source not in OUTER_SOURCES
            if layer.values["engine"] != merged.get("engine"):
                _forget(merged, ("engine_args", "python", "endpoint", "command"))
        engine_args = {**merged.get("engine_args", {}), **layer.values.get("engine_args", {})}
        merged.update(layer.values)
        merged["engine_args"] = engine_args
    return merged


def _forget(merged: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        merged.pop(key, None)


def _resolve_tolerance(project: Project, closer: Sequence[Layer], split: str, pair: str) -> Tolerance:
    sources = [
        project.defaults.values.get("tolerance"),
        project.splits.get(split, {}).get("tolerance"),
        project.pair_tolerances.get(pair),
        *(layer.values.get("tolerance") for layer in closer),
    ]
    chosen = Tolerance()
    for given in sources:
        if given is not None:
            chosen = chosen.overridden_by(given)
    return chosen


def _resolve_split(split: str, of_split: Mapping[str, Any], merged: Mapping[str, Any]) -> SplitSource:
    chosen = {**of_split, **{key: merged[key] for key in _OF_A_SPLIT if key in merged}}
    source = SplitSource(
        chosen.get("source", split),
        name=split if "source" in of_split else None,
        columns=chosen.get("columns", ()),
        skip_placeholders=chosen.get("allow_placeholders", False),
        isl=chosen.get("isl"),
        sha256=chosen.get("sha256"),
    )
    source.check()
    return source


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
        pair = replace(pair, engine_args=MappingProxyType(dict(own)), python=None, endpoint=None, command=None)
    pair = replace(
        pair,
        engine_args=MappingProxyType({**pair.engine_args, **merged.get("engine_args", {})}),
        python=merged.get("python", pair.python),
        endpoint=merged.get("endpoint", pair.endpoint),
        command=merged.get("command", pair.command),
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
    for key in ("engine", "model", "drafter", "python", "endpoint", "command"):
        if key in table and (not isinstance(table[key], str) or not table[key]):
            raise ConfigError(f"{key} in {where} is {table[key]!r}.", "Give a text that is not empty.")
    engine_args = read_value("table", table.get("engine_args", {}), f"engine_args in {where}")
    length = DEFAULT_DRAFT_LENGTH
    if "draft_length" in table:
        length = read_value("count", table["draft_length"], f"draft_length in {where}")
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
        command=table.get("command"),
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The way out for a misspelt name: the closest known one, and all of them."""
    names = sorted(known)
    return f"{closest(word, names)}Known are: {', '.join(names)}."
