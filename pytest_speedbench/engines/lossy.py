"""Acceptance that says nothing of the drafter: made up by the engine, or of tokens that the target would not emit.

Each adapter names the settings of its engine; the check is here, once, for arguments, variables of the environment,
command lines, files of options and what a server prints.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_speedbench.errors import EngineError

SYNTHETIC = "makes acceptance up"
LOSSY = "accepts tokens that the target would not emit"
_NOTHING = frozenset({"", "none", "null"})
_OPTION_FILES = (".yaml", ".yml", ".json", ".toml")
_MOST_BYTES = 1 << 20
_VALUE = r"""["'\\]*(\[[^\]]*\]|[^\s,"'})\\]*)"""
_IN_A_COMMAND = r"""["'\\]*(?:\s*[=:]\s*|\s+)""" + _VALUE
_IN_TEXT = r"""["'\\]*\s*[=:]\s*""" + _VALUE


@dataclass(frozen=True, slots=True)
class LossySetting:
    """A setting that makes an acceptance mean something else.

    Attributes:
        name: an engine argument, with underscores, or a variable of the environment, in capitals; one that ends in
            ``*`` stands for all that begin so.
        does: what it does, in words.
        harmless: whether a value, as text, leaves acceptance as it is; nothing and none always do.
    """

    name: str
    does: str
    harmless: Callable[[str], bool] = lambda value: value.lower() == "false"

    @property
    def is_variable(self) -> bool:
        """Whether it is one of the environment."""
        return self.name.isupper() or self.name.rstrip("*").isupper()


@dataclass(frozen=True, slots=True)
class Found:
    """A setting where it was found: its name there and its value."""

    setting: LossySetting
    name: str
    value: str


def one_of(*values: str) -> Callable[[str], bool]:
    """Whether a value is one of these words."""
    return lambda value: value.lower() in values


def number(holds: Callable[[float], bool]) -> Callable[[str], bool]:
    """Whether a value is a number of which something holds."""

    def check(value: str) -> bool:
        try:
            return holds(float(value))
        except ValueError:
            return False

    return check


def refuse_arguments(engine: str, settings: Sequence[LossySetting], arguments: Mapping[str, Any]) -> None:
    """Refuse engine arguments, tables and JSON in them included.

    Args:
        engine: its name in words.
        settings: the engine's own.
        arguments: by their names, with underscores or dashes.

    Raises:
        EngineError: one is set.
    """
    text = json.dumps(_plain(arguments), default=str)
    _refuse(engine, _in_text(settings, text, _IN_TEXT), "is told", "Leave it out")


def refuse_environment(engine: str, settings: Sequence[LossySetting]) -> None:
    """Refuse variables that the engine would inherit from us.

    Raises:
        EngineError: one is set.
    """
    text = "\n".join(f"{name}={value}" for name, value in os.environ.items() if name.isupper())
    _refuse(engine, _in_text([s for s in settings if s.is_variable], text, _IN_TEXT), "would inherit", "Unset it")


def refuse_command(settings: Sequence[LossySetting], words: Sequence[str]) -> None:
    """Refuse a command line: flags, variables before the program, JSON, and files of options that it names.

    Raises:
        EngineError: one is set.
    """
    found = [*_in_text(settings, " ".join(words), _IN_A_COMMAND)]
    for word in words:
        path = Path(word.rpartition("=")[2])
        if path.suffix in _OPTION_FILES and path.is_file() and path.stat().st_size <= _MOST_BYTES:
            found += _in_text(settings, path.read_text(encoding="utf-8", errors="replace"), _IN_TEXT)
    _refuse("The pair's command", found, "says", "Leave it out")


def refuse_printed(engine: str, settings: Sequence[LossySetting], printed: str) -> None:
    """Refuse what a server of ours says of its settings in what it prints at its start.

    Raises:
        EngineError: one is set.
    """
    _refuse(f"The {engine} server", _in_text(settings, printed, _IN_TEXT), "says it runs with", "Start it without")


def _in_text(settings: Iterable[LossySetting], text: str, value: str) -> list[Found]:
    found = []
    for setting in settings:
        name = re.escape(setting.name.rstrip("*")).replace("_", "[-_]") + (r"[\w-]*" if "*" in setting.name else "")
        flags = 0 if setting.is_variable else re.IGNORECASE
        for match in re.finditer(rf"(?<![\w])({name})(?![\w-]){value}", text, flags):
            said = match.group(2).strip()
            if said.lower() not in _NOTHING and not setting.harmless(said):
                found.append(Found(setting, match.group(1), said))
    return found


def _refuse(who: str, found: Sequence[Found], how: str, remedy: str) -> None:
    if found:
        first = found[0]
        raise EngineError(
            f"{who} {how} {first.name} = {first.value}, which {first.setting.does}: its acceptance would say nothing "
            "of the drafter.",
            f"{remedy}, or measure another pair.",
        )


def _plain(value: Any) -> Any:
    """Tables as JSON has them; JSON inside of texts is read."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
