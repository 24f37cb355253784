"""Find a split by name or path, and read it."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from pytest_speedbench.errors import SplitError, closest
from pytest_speedbench.splits.schema import Prompt, Split

PLACEHOLDER = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE USING SPECDEC_BENCH"
"""How a row of the public SPEED-Bench dataset begins whose text must first be resolved by its authors' scripts."""

_COLUMNS = "question_id, category and turns"
RESERVED_CATEGORY = "overall"


class _Row(msgspec.Struct, frozen=True):
    """SPEED-Bench's columns; those nobody computes with may be missing."""

    question_id: str
    category: str
    turns: list[str]
    sub_category: str = ""
    source: str = ""
    src_id: str = ""
    difficulty: str = ""
    multiturn: bool = False


def bundled_splits() -> tuple[str, ...]:
    """Names of the splits that come with the package."""
    folder = resources.files("pytest_speedbench.splits") / "bundled"
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".jsonl")))


def load_split(name: str) -> Split:
    """Load a bundled split by its name, or a JSONL file by its path.

    Raises:
        SplitError: no such split or file, or rows that cannot be used; it names file and line.
    """
    if name in bundled_splits():
        path = resources.files("pytest_speedbench.splits") / "bundled" / f"{name}.jsonl"
        return _parse(name, path.read_bytes(), f"the bundled split {name!r}")
    file = Path(name)
    if file.is_dir():
        raise SplitError(f"{file} is a folder, not a split.", "Name a JSONL file in it.")
    if not file.exists():
        known = bundled_splits()
        raise SplitError(
            f"There is no split {name!r}: it is neither bundled nor a file.",
            f"{closest(name, known)}Bundled are: {', '.join(known)}; "
            f"a split of your own is a JSONL file with {_COLUMNS} in each row.",
        )
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SplitError(
            f"The split {file} cannot be read: {error.strerror}.", "Check the file's permissions."
        ) from None
    return _parse(file.stem, data, str(file))


def _parse(name: str, data: bytes, where: str) -> Split:
    prompts: list[Prompt] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        prompt = _parse_row(line, f"{where}, line {number}")
        if prompt.question_id in seen:
            raise SplitError(
                f"{where}, line {number}: question_id {prompt.question_id!r} was used in line "
                f"{seen[prompt.question_id]}.",
                "Give every row an id of its own: results are paired by it.",
            )
        seen[prompt.question_id] = number
        prompts.append(prompt)
    if not prompts:
        raise SplitError(f"The split {where} is empty.", f"Give at least one row with {_COLUMNS}.")
    return Split(name=name, prompts=tuple(prompts), sha256=_content_hash(prompts), total=len(prompts))


def _parse_row(line: bytes, where: str) -> Prompt:
    try:
        row = msgspec.json.decode(line, type=_Row)
    except msgspec.ValidationError as error:
        raise SplitError(f"{where}: {error}.", f"A row needs {_COLUMNS} (a list of texts).") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SplitError(f"{where} is no JSON: {error}.", "Write one JSON object per line, in UTF-8.") from None
    for label, text in (("question_id", row.question_id), ("category", row.category)):
        if not text.strip():
            raise SplitError(f"{where}: {label} is empty.", f"A row needs {_COLUMNS}.")
    if row.category == RESERVED_CATEGORY:
        raise SplitError(
            f"{where}: a category cannot be called {RESERVED_CATEGORY!r}.",
            "That is the name of all categories together in every table; rename it.",
        )
    if not row.turns:
        raise SplitError(f"{where}: the row {row.question_id!r} has no turns.", "Give at least one user message.")
    for turn in row.turns:
        if not turn.strip():
            raise SplitError(f"{where}: the row {row.question_id!r} has an empty turn.", "Remove it or give it text.")
        if turn.startswith(PLACEHOLDER):
            raise SplitError(
                f"{where}: the row {row.question_id!r} is a placeholder for text that is not in this file.",
                "Prepare the split with its authors' script first, then use the prepared file.",
            )
    fields: dict[str, Any] = msgspec.structs.asdict(row)
    del fields["multiturn"]
    return Prompt(**{**fields, "turns": tuple(row.turns)})


def _content_hash(prompts: list[Prompt]) -> str:
    """Hash of what can change an answer or its place in the tables: ids, categories and turns, in order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        row = [prompt.question_id, prompt.category, prompt.sub_category, list(prompt.turns)]
        digest.update(json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
