"""``prepared.json``: what a prepared file was made from, kept beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pytest_speedbench.errors import SplitError

NAME = "prepared.json"
_SCHEMA = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the rows came from and which they are. Holds none of their text.

    Attributes:
        config: of SPEED-Bench.
        rows: how many of each category.
        content_sha256: of ids, categories and turns, as ``Split.sha256``.
        dataset: its id on the hub.
        dataset_revision: the commit.
        script: the repository that the authors' script is of.
        script_revision: the commit there.
        script_sha256: of its files together.
        sources: what the script loaded, with its revision if it pins one.
        python: version of the interpreter that ran it.
        requirements: versions of the packages that it used.
        prepared_at: time in UTC, ISO 8601.
    """

    config: str
    rows: dict[str, int]
    content_sha256: str
    dataset: str
    dataset_revision: str
    script: str
    script_revision: str
    script_sha256: str
    sources: list[str]
    python: str
    requirements: dict[str, str]
    prepared_at: str
    schema: int = _SCHEMA

    def write(self, folder: Path) -> None:
        """Write it into the folder of the file that it describes."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=2)
        (folder / NAME).write_bytes(data + b"\n")


def read_record(folder: Path) -> Record | None:
    """The record in a folder; ``None`` if there is none.

    Raises:
        SplitError: it cannot be read.
    """
    path = folder / NAME
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SplitError(f"{path} cannot be read: {error}.", "Prepare the config anew with --force.") from None
    if record.schema != _SCHEMA:
        raise SplitError(
            f"{path} has the form {record.schema}; this version reads {_SCHEMA}.",
            "Prepare the config anew with --force.",
        )
    return record
