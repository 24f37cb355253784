"""Read prompts from files: which files a path means, and which reader each of them needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.files.delimited import read_commas, read_tabs
from pytest_speedbench.splits.files.jsonl import read_json, read_lines
from pytest_speedbench.splits.files.opened import OpenedFile, opened
from pytest_speedbench.splits.files.parquet import read_parquet
from pytest_speedbench.splits.rows import Reading, Rows

_READERS: dict[str, Callable[[OpenedFile, Rows], None]] = {
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".json": read_json,
    ".csv": read_commas,
    ".tsv": read_tabs,
    ".parquet": read_parquet,
}
SUFFIXES = tuple(_READERS)
"""Of the files that can be read, in lower case."""

# Not .json: beside data it is most often a description of them.
_IN_FOLDERS = {".parquet": "parquet", ".jsonl": "JSONL", ".ndjson": "JSONL", ".csv": "CSV", ".tsv": "TSV"}
_MAX_ENTRIES = 100_000


def read_files(
    files: Sequence[Path],
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    skip_placeholders: bool = False,
    name: str | None = None,
) -> Reading:
    """Read all prompts of files, in their order.

    Args:
        files: at least one.
        columns: our name → the files', for columns that are called otherwise there.
        skip_placeholders: leave out rows whose text must be fetched first, instead of refusing them.
        name: how to call a single file in messages; its path if left out.

    Raises:
        SplitError: what is wrong in which file and row.
    """
    where = name or (str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more")
    rows = Rows(where, columns, skip_placeholders=skip_placeholders)
    for path in files:
        label = where if len(files) == 1 else str(path)
        read = _READERS.get(path.suffix.lower())
        if read is None:
            raise SplitError(
                f"{label}: files {path.suffix or 'without an ending'} are not read.",
                f"A split's file ends with {', '.join(SUFFIXES)}.",
            )
        with opened(path, label) as file:
            read(file, rows)
    return rows.reading()


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that a path means: itself, or all files of a folder and its folders, sorted, hidden ones left out.

    Raises:
        SplitError: it is a folder that cannot be read, without data, or with data of several formats.
    """
    if not path.is_dir():
        return (path,)
    by_format: dict[str, list[Path]] = {}
    for file in _walk(path):
        kind = _IN_FOLDERS.get(file.suffix.lower())
        if kind:
            by_format.setdefault(kind, []).append(file)
    if not by_format:
        raise SplitError(
            f"{path} is a folder without a split.",
            f"Name a file, or a folder with files {', '.join(_IN_FOLDERS)}.",
        )
    if len(by_format) > 1:
        found = " and ".join(f"{len(files)} {kind}" for kind, files in sorted(by_format.items()))
        raise SplitError(f"{path} is a folder with files of several formats: {found}.", "Name the one that counts.")
    return tuple(sorted(*by_format.values()))


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, through links to folders too, but into no folder twice."""
    visited: set[tuple[int, int]] = set()
    entries = 0

    def refuse(error: OSError) -> None:
        raise SplitError(
            f"The folder {error.filename} cannot be read: {error.strerror}.", "Check its permissions."
        ) from None

    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        entries += len(folders) + len(files)
        if entries > _MAX_ENTRIES:
            raise SplitError(f"{folder} has more than {_MAX_ENTRIES:,} files.", "Name the folder of the split.")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in files if not name.startswith("."))
