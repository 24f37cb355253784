"""Pairs: the bundled ones, those of a project, and the one that settings choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pytest_speedbench.config import DEFAULT_DRAFT_LENGTH, SHARED_SETTINGS, Drafter, EngineArg, Pair
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.readers import read_value
from pytest_speedbench.settings.layers import BY_KEY, did_you_mean

DEFAULT_PAIR = "tiny-eagle3"
DEFAULT_ENGINE = "transformers"
DEFAULT_MODEL = "bundled:target"

ADDRESSES = ("python", "endpoint", "command")
"""Where an engine is."""
DROPPED = "dropped"
"""Where merged settings keep what they no longer say."""

_BUNDLED_ARGS: Mapping[str, Mapping[str, EngineArg]] = MappingProxyType(
    {
        "transformers": MappingProxyType({"device": "cpu", "threads": 1}),
        "vllm": MappingProxyType({"enforce_eager": True}),
        "vllm-serve": MappingProxyType({"enforce_eager": True}),
    }
)
_PAIR_KEYS = (
    "engine",
    "model",
    "drafter",
    "draft_length",
    *SHARED_SETTINGS,
    "engine_args",
    "python",
    "endpoint",
    "command",
    "tolerance",
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
            dtype="float32",
        )
        for name, text in drafters.items()
    }


def read_pair(name: str, table: Mapping[str, Any]) -> Pair:
    """Read one table of ``[tool.speedbench.pairs]``.

    Raises:
        ConfigError: unknown keys, wrong kinds, no model, a draft length without a drafter.
    """
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
    shared = {
        key: read_value(BY_KEY[key].kind, table[key], f"{key} in {where}") for key in SHARED_SETTINGS if key in table
    }
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
        **shared,
    )


def resolve_pair(merged: Mapping[str, Any], pairs: Mapping[str, Pair]) -> Pair:
    """The pair that merged settings choose.

    Raises:
        ConfigError: no such pair, a drafter that cannot be read, a draft length without a drafter.
    """
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
            f"Leave {BY_KEY['draft_length'].flag} out, or give {BY_KEY['drafter'].flag}.",
        )
    pair, engine = replace(base, drafter=drafter), merged.get("engine", base.engine)
    if engine != base.engine:
        bundled, served = base == bundled_pairs().get(base.name), "endpoint" in merged
        own = _BUNDLED_ARGS.get(engine, {}) if not served else {}
        # In what a server computes that runs already is not the bundled pair's to say.
        pair = _on_engine(replace(pair, dtype=None) if bundled and served else pair, engine, own if bundled else None)
    pair = replace(
        pair,
        engine_args=MappingProxyType({**pair.engine_args, **merged.get("engine_args", {})}),
        **{key: merged[key] for key in (*ADDRESSES, *SHARED_SETTINGS) if key in merged},
        dropped=(*merged.get(DROPPED, ()), *pair.dropped),
    )
    return pair if pair.name else replace(pair, name=derived_pair_name(pair))


def _on_engine(pair: Pair, engine: str, bundled: Mapping[str, EngineArg] | None) -> Pair:
    """The pair on another engine: what it says for its own engine only is dropped, and named.

    Args:
        pair: as it is written.
        engine: what decodes instead.
        bundled: what a bundled pair says for that engine; ``None`` for other pairs.
    """
    words: tuple[str, ...] = ()
    if bundled is None:
        given = {"engine_args": pair.engine_args, **{key: getattr(pair, key) for key in ADDRESSES}}
        words = dropped_words(given, f"of the pair {pair.name!r}", f"{pair.engine}, not {engine}")
    args = MappingProxyType(dict(bundled or {}))
    return replace(pair, engine=engine, engine_args=args, python=None, endpoint=None, command=None, dropped=words)


def dropped_words(given: Mapping[str, Any], whose: str, for_what: str) -> tuple[str, ...]:
    """What is said for something else and does not hold, for a note; nothing if nothing was said.

    Args:
        given: by setting; of ``engine_args`` the names are told, never the values.
        whose: who said it.
        for_what: for what it was meant, and for what it is not.
    """
    args = given.get("engine_args") or {}
    others = (key for key, value in given.items() if key != "engine_args" and value is not None)
    names = [*(f"engine_args.{name}" for name in args), *others]
    if not names:
        return ()
    shared = " Say dtype, tensor_parallel and context_tokens as keys of their own: they hold on every engine."
    return (
        f"{', '.join(names)} {whose} {'is' if len(names) == 1 else 'are'} for {for_what}: left out."
        + (shared if args else ""),
    )


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
