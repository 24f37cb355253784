"""Rows from JSON: one object per line, or one list of objects."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.files.lines import lines_of
from pytest_speedbench.splits.files.opened import OpenedFile
from pytest_speedbench.splits.forms import Place, repeated
from pytest_speedbench.splits.rows import Rows

MAX_LIST_BYTES = 64 * 2**20
"""Of a list of rows, which is read as a whole."""

_SHOWN_CHARACTERS = 80
_HALF_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Key(str):
    """A key of an object, of a type of its own so that the decoder hands over each one, repeated ones too."""

    __slots__ = ()


class _Keys:
    """Sees the keys of an object as they are decoded: afterwards a repeated one is gone."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.decoder = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=self._take)

    def _take(self, _kind: type, key: str) -> _Key:
        self.seen.append(key)
        return _Key(key)


def read_lines(file: OpenedFile, rows: Rows) -> None:
    """Add each line's object; blank lines count but are no rows.

    Raises:
        SplitError: a line is no JSON object or no row of a split.
    """
    keys = _Keys()
    for number, line in enumerate(lines_of(file), start=1):
        if not line.isspace():
            _add(line, rows, keys, Place(file.where, "line", number))


def read_json(file: OpenedFile, rows: Rows) -> None:
    """Add the objects of a list, or of lines.

    Raises:
        SplitError: it is neither, or has what is no row of a split.
    """
    if not file.head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        read_lines(file, rows)
        return
    if file.size_bytes > MAX_LIST_BYTES:
        raise SplitError(
            f"{file.where} is a JSON list of more than {MAX_LIST_BYTES >> 20} MiB, which is not read.",
            "Write one JSON object per line into a file .jsonl, which may be of any size.",
        )
    data = file.handle.read(MAX_LIST_BYTES).removeprefix(b"\xef\xbb\xbf")
    objects: list[msgspec.Raw] = _decode(data, msgspec.json.Decoder(list[msgspec.Raw]), Place(file.where))
    keys = _Keys()
    for number, item in enumerate(objects, start=1):
        _add(item, rows, keys, Place(file.where, "row", number))


def _add(data: bytes | msgspec.Raw, rows: Rows, keys: _Keys, place: Place) -> None:
    keys.seen.clear()
    row: dict[str, msgspec.Raw] = _decode(data, keys.decoder, place)
    if len(keys.seen) > len(row):
        twice = repeated(keys.seen) or ""
        raise SplitError(
            f"{place}: the key {twice[:_SHOWN_CHARACTERS]!r} is there twice.", "Which one counts? Remove the other."
        )
    rows.add(row, place)


def _decode(data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[Any], place: Place) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise SplitError(f"{place}: {error}.", "A row is one JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remedy = "Write one JSON object per line, in UTF-8."
        if _HALF_SURROGATE.search(data):
            remedy += " Does it have half of a surrogate pair (\\ud800 to \\udfff)?"
        raise SplitError(f"{place} is no JSON: {error}.", remedy) from None
    except RecursionError:
        raise SplitError(f"{place} is nested too deeply.", "A row is one flat JSON object.") from None
