"""How each kind of option is read, from text or from TOML; what cannot be read is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from pytest_speedbench.config import (
    DTYPES,
    LEAST_ROUNDS,
    EngineArg,
    GatePolicyName,
    Mode,
    OutputsPolicyName,
    canonical_dtype,
)
from pytest_speedbench.errors import ConfigError, closest
from pytest_speedbench.options import Kind
from pytest_speedbench.paths import at_home
from pytest_speedbench.splits.conditions import parse_conditions
from pytest_speedbench.splits.source import InputLength, parse_input_length
from pytest_speedbench.tolerance import parse_tolerance


def read_value(kind: Kind, value: Any, name: str) -> Any:
    """Check and convert one value.

    Args:
        kind: of the option.
        value: a text, or what TOML or a test's code gave.
        name: how the user wrote the option, for messages.

    Raises:
        ConfigError: it is of the wrong kind or out of range.
    """
    return _READERS[kind](value, name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} is {value!r}.", "Give a text that is not empty.")
    return value.strip()


def _folder(value: Any, name: str) -> Path:
    return value if isinstance(value, Path) else Path(_text(value, name))


def _cache(value: Any, name: str) -> Path | None:
    """A folder; ``None`` for off."""
    return None if value in ("off", False) else at_home(str(_folder(value, name)))


def _columns(value: Any, name: str) -> tuple[tuple[str, str], ...]:
    table = value
    if isinstance(value, str):
        parts = [part.partition("=") for part in value.split(",")]
        table = {ours.strip(): theirs.strip() for ours, _, theirs in parts}
    if not isinstance(table, Mapping) or not all(isinstance(theirs, str) and theirs for theirs in table.values()):
        raise ConfigError(f"{name} is {value!r}.", "Write OURS=THEIRS,OURS=THEIRS, e.g. turns=prompt,category=topic.")
    return tuple(sorted(table.items()))


def _input_length(value: Any, name: str) -> InputLength:
    if isinstance(value, InputLength):
        return value
    return parse_input_length(_text(str(value) if isinstance(value, int) else value, name), name)


def _placeholders(value: Any, name: str) -> bool:
    """Whether rows without their text are left out."""
    if value == "skip":
        return True
    raise ConfigError(
        f"{name} is {value!r}.", "Write skip to leave such rows out; leave the option out to refuse them."
    )


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
    raise ConfigError(f"{name} is {value!r}.", "Give on or off, or true or false.")


def _names(value: Any, name: str) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ConfigError(f"{name} is {value!r}.", "Give names, separated by commas.")
    names = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not names:
        raise ConfigError(f"{name} names nothing.", "Give at least one name, or leave it out for all.")
    return names


def _policy(value: Any, name: str) -> GatePolicyName:
    known: Mapping[str, GatePolicyName] = {policy: policy for policy in get_args(GatePolicyName)}
    text = value.strip() if isinstance(value, str) else ""
    if text in known:
        return known[text]
    raise ConfigError(f"{name} is {value!r}.", f"{closest(text, known)}Give {' or '.join(known)}.")


def _outputs_policy(value: Any, name: str) -> OutputsPolicyName:
    known: Mapping[str, OutputsPolicyName] = {policy: policy for policy in get_args(OutputsPolicyName)}
    text = value.strip() if isinstance(value, str) else ""
    if text in known:
        return known[text]
    raise ConfigError(f"{name} is {value!r}.", f"{closest(text, known)}Give {', '.join(list(known)[:-1])} or note.")


def _mode(value: Any, name: str) -> Mode:
    known: Mapping[str, Mode] = {mode: mode for mode in get_args(Mode)}
    text = value.strip() if isinstance(value, str) else ""
    if text in known:
        return known[text]
    raise ConfigError(f"{name} is {value!r}.", f"{closest(text, known)}Give {' or '.join(known)}.")


def _dtype(value: Any, name: str) -> str:
    dtype = canonical_dtype(value) if isinstance(value, str) else ""
    if dtype in DTYPES:
        return dtype
    raise ConfigError(f"{name} is {value!r}.", f"{closest(dtype, DTYPES)}Give one of: {', '.join(DTYPES)}.")


def _error_level(value: Any, name: str) -> float:
    text = "" if isinstance(value, bool) else str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 0.5:
        raise ConfigError(f"{name} is {value!r}.", "Give a share such as 1% or 0.01, above 0 and below 50%.")
    return share


def _rounds(value: Any, name: str) -> int:
    rounds = _count(value, name)
    if rounds < LEAST_ROUNDS:
        raise ConfigError(
            f"{name} is {rounds}, which is too few for an interval.", f"Measure at least {LEAST_ROUNDS} rounds."
        )
    return rounds


_READERS: Mapping[Kind, Callable[[Any, str], Any]] = {
    "text": _text,
    "count": _count,
    "rounds": _rounds,
    "seconds": _seconds,
    "error level": _error_level,
    "names": _names,
    "table": _table,
    "tolerance": parse_tolerance,
    "policy": _policy,
    "outputs policy": _outputs_policy,
    "mode": _mode,
    "dtype": _dtype,
    "folder": _folder,
    "cache": _cache,
    "columns": _columns,
    "conditions": parse_conditions,
    "input length": _input_length,
    "placeholders": _placeholders,
    "flag": _flag,
    "switch": _flag,
}
