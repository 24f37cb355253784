"""Baseline files: found, read with every fault told apart, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_speedbench.baselines.calibration import RepeatedCounts
from pytest_speedbench.baselines.schema import FORMAT, SCHEMA_VERSION, Baseline
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.outputs import SUFFIX
from pytest_speedbench.places import write_whole
from pytest_speedbench.regular_files import read_regular
from pytest_speedbench.states import states_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_RESERVED_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}
)
_MOST_NAME_CHARACTERS = 80


def baseline_path(folder: Path, pair: str, split: str) -> Path:
    """Where the baseline of a pair on a split lives: ``folder/<pair>/<split>.json``.

    Names that are not safe as file names everywhere are changed, always in the same way, with a piece of the name's
    hash to keep them apart.

    Raises:
        BaselineError: an empty name.
    """
    return folder / _file_name(pair, "pair") / f"{_file_name(split, 'split')}.json"


def outputs_path(folder: Path, pair: str, split: str) -> Path:
    """Where the outputs stored for replay live: beside the baseline of the pair on the split.

    Raises:
        BaselineError: an empty name.
    """
    return baseline_path(folder, pair, split).with_suffix(SUFFIX)


def states_path(folder: Path, pair: str, split: str) -> Path:
    """Where the target's hidden states on those outputs live: a folder beside them.

    Raises:
        BaselineError: an empty name.
    """
    return states_beside(outputs_path(folder, pair, split))


def list_baselines(folder: Path) -> list[Path]:
    """The baseline files under a folder, sorted; none if the folder does not exist."""
    return sorted(path for path in folder.glob("*/*.json") if path.is_file() and not path.name.startswith("."))


def baselines_on(folder: Path, pair: str, split: str) -> Iterator[Baseline]:
    """The baselines of any pair on a split that can be read, that of ``pair`` first.

    Raises:
        BaselineError: an empty name.
    """
    own = baseline_path(folder, pair, split)
    for path in (own, *(path for path in list_baselines(folder) if path.name == own.name and path != own)):
        with suppress(BaselineError):  # who compares with it says what is wrong with it
            yield read_baseline(path, record_command="")


def read_baseline(path: Path, *, record_command: str) -> Baseline:
    """Read and check one baseline. ``record_command`` is what the user runs to record a new one.

    Raises:
        BaselineError: missing, unreadable, damaged, of another schema version, or contradicting itself.
    """
    text = _read_text(path, record_command)
    damaged = f"Restore it from version control, or record a new one with: {record_command}"
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"The baseline {path} is not valid JSON ({_json_fault(error)}).", damaged) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BaselineError(
            f"{path} is not a pytest-speedbench baseline.",
            "It was left as it is. Name a baseline instead; if it lies where one is to be, move it away and record "
            f"one with: {record_command}",
        )
    _check_version(path, data.get("schema_version"), record_command)
    try:
        baseline = msgspec.convert(data, Baseline)
        baseline.check()
    except (msgspec.ValidationError, ValueError) as error:
        raise BaselineError(f"The baseline {path} is damaged: {_prompt_named(str(error), data)}.", damaged) from error
    return baseline


def load_baseline(folder: Path, pair: str, split: str, *, record_command: str) -> Baseline:
    """Read the baseline of a pair on a split, and make sure that it is theirs.

    Raises:
        BaselineError: see :func:`read_baseline`; or the file holds another pair's or split's baseline.
    """
    path = baseline_path(folder, pair, split)
    baseline = read_baseline(path, record_command=record_command)
    if (baseline.pair, baseline.split) != (pair, split):
        raise BaselineError(
            f"{path} holds the baseline of {baseline.pair!r} on {baseline.split!r}, not of {pair!r} on {split!r}.",
            f"Correct the names in it if it was moved on purpose, or record a new one with: {record_command}",
        )
    return baseline


def check_keeps_prompts(old: Baseline, asked: Iterable[str], shown: str) -> None:
    """Refuse to replace a baseline, ``shown`` being its file in words, by one that lacks some of its prompts.

    Raises:
        BaselineError: not all of its prompts are asked.
    """
    missing = {prompt.id for prompt in old.prompts}.difference(asked)
    if missing:
        raise BaselineError(
            f"The baseline {shown} has {len(missing)} prompts that this run did not ask.",
            "Update with all prompts and categories, or remove the file first to keep a smaller baseline.",
        )


def write_baseline(folder: Path, baseline: Baseline) -> Path:
    """Write a baseline to its place under ``folder``; returns its path. The old file stays until the new one is whole.

    Raises:
        BaselineError: the place cannot be written.
    """
    path = baseline_path(folder, baseline.pair, baseline.split)
    try:
        write_whole(path, to_text(baseline).encode())
    except (OSError, ValueError) as error:
        raise BaselineError(
            f"The baseline {path} cannot be written ({(isinstance(error, OSError) and error.strerror) or error}).",
            "Check the folder's permissions and free space, or name another baselines folder.",
        ) from error
    return path


def to_text(baseline: Baseline) -> str:
    """The file's text: the summary first, one line per category and per prompt, so that a diff can be read.

    A calibration stands at the end, with one line per further run and prompt that varied.
    """
    fields = msgspec.to_builtins(baseline)
    summary, prompts = fields["summary"], fields["prompts"]
    categories = ",\n".join(f"      {_line(name)}: {_line(row)}" for name, row in summary["categories"].items())
    blocks = [
        *(f"  {_line(name)}: {_line(fields[name])}" for name in ("format", "schema_version", "pair", "split")),
        '  "summary": {\n'
        f'    "overall": {_line(summary["overall"])},\n'
        f'    "al_category_macro": {_line(summary["al_category_macro"])},\n'
        f'    "categories": {{\n{categories}\n    }}\n  }}',
        *(_block(name, fields[name]) for name in ("throughput", "acceptance_key", "hardware_key", "recorded")),
        '  "prompts": [\n' + ",\n".join(f"    {_line(prompt)}" for prompt in prompts) + "\n  ]",
    ]
    if baseline.calibration is not None:
        blocks.append(_calibration(fields["calibration"]))
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _calibration(fields: dict[str, Any]) -> str:
    repeats = ",\n".join(_table(_without_last_null(repeat), "      ") for repeat in fields["repeats"])
    rounds = "null" if fields["rounds"] is None else _table(fields["rounds"], "    ").lstrip()
    rows = [
        *(f"    {_line(name)}: {_line(value)}" for name, value in fields.items() if name not in ("rounds", "repeats")),
        f'    "rounds": {rounds}',
        f'    "repeats": [\n{repeats}\n    ]',
    ]
    return '  "calibration": {\n' + ",\n".join(rows) + "\n  }"


def _without_last_null(repeat: dict[str, list[Any]]) -> dict[str, object]:
    """Counts without the last one, which most do not have."""
    last = len(RepeatedCounts.__struct_fields__) - 1
    return {name: row[:last] if row[last] is None else row for name, row in repeat.items()}


def _table(rows: dict[str, object], indent: str) -> str:
    """An object with a line per entry."""
    if not rows:
        return f"{indent}{{}}"
    return (
        f"{indent}{{\n"
        + ",\n".join(f"{indent}  {_line(name)}: {_line(row)}" for name, row in rows.items())
        + f"\n{indent}}}"
    )


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _block(name: str, value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2)
    return f"  {_line(name)}: " + text.replace("\n", "\n  ")


def _read_text(path: Path, record_command: str) -> str:
    try:
        return read_regular(path).decode("utf-8")
    except FileNotFoundError:
        raise BaselineError(f"There is no baseline {path}.", f"Record one with: {record_command}") from None
    except IsADirectoryError:
        raise BaselineError(f"The baseline {path} is a folder.", "Remove the folder, or name it otherwise.") from None
    except UnicodeDecodeError as error:
        raise BaselineError(
            f"The baseline {path} is not text (byte {error.start} is not UTF-8).",
            f"Restore it from version control, or record a new one with: {record_command}",
        ) from error
    except OSError as error:
        raise BaselineError(
            f"The baseline {path} cannot be read ({error.strerror or error}).", "Check the file and its permissions."
        ) from error


def _check_version(path: Path, version: object, record_command: str) -> None:
    if version == SCHEMA_VERSION and type(version) is int:
        return
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        raise BaselineError(
            f"The baseline {path} was written by a newer pytest-speedbench "
            f"(schema version {version}; this one reads {SCHEMA_VERSION}).",
            "Upgrade pytest-speedbench.",
        )
    raise BaselineError(
        f"The baseline {path} has schema version {version!r}, which this pytest-speedbench cannot read.",
        f"Record a new one with: {record_command}",
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _json_fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _prompt_named(fault: str, data: dict[str, Any]) -> str:
    """Add the prompt's id to a fault that names a prompt only by its position."""
    place = re.search(r"\$\.calibration\.repeats\[(\d+)\]\[", fault)
    if place:
        for name, counts in data["calibration"]["repeats"][int(place[1])].items():
            try:
                msgspec.convert(counts, RepeatedCounts)
            except msgspec.ValidationError:
                return f"prompt {name!r}: {fault}"
    place = re.search(r"\$\.prompts\[(\d+)\]", fault)
    prompts = data.get("prompts")
    if place and isinstance(prompts, list):
        prompt = prompts[int(place[1])]
        if isinstance(prompt, dict) and "id" in prompt:
            return f"prompt {prompt['id']!r}: {fault}"
    return fault


def _file_name(name: str, what: str) -> str:
    if not name.strip():
        raise BaselineError(f"A {what} without a name cannot have a baseline.", f"Give the {what} a name.")
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_MOST_NAME_CHARACTERS].rstrip(".-")
    if plain == name and plain.split(".")[0].lower() not in _RESERVED_NAMES:
        return plain
    return f"{plain or what}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
