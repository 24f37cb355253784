"""Rows from tables of text: comma- or tab-separated."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import msgspec

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.files.lines import lines_of
from pytest_speedbench.splits.files.opened import OpenedFile
from pytest_speedbench.splits.forms import Form, Place, repeated
from pytest_speedbench.splits.rows import MAX_ROW_BYTES, Rows

_OTHER_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def read_commas(file: OpenedFile, rows: Rows) -> None:
    """Add each row of a table with commas.

    Raises:
        SplitError: it is no such table, or has what is no row of a split.
    """
    _read(file, rows, ",")


def read_tabs(file: OpenedFile, rows: Rows) -> None:
    """Add each row of a table with tabs.

    Raises:
        SplitError: it is no such table, or has what is no row of a split.
    """
    _read(file, rows, "\t")


class _Lines:
    """The lines for the parser, as text; knows where the current row began and how much of it was read."""

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        self._number = 0
        self._first = 0
        self._row_bytes = 0

    def begin_row(self) -> None:
        self._first = self._number + 1
        self._row_bytes = 0

    @property
    def place(self) -> Place:
        return Place(self._file.where, "line", self._first)

    def __iter__(self) -> Iterator[str]:
        for line in lines_of(self._file):
            self._number += 1
            self._row_bytes += len(line)
            if self._row_bytes > MAX_ROW_BYTES:
                raise SplitError(
                    f"{self.place}: the row that begins here has more than {MAX_ROW_BYTES >> 20} MiB.",
                    "Is a quotation mark missing at the end of a cell?",
                )
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                place = Place(self._file.where, "line", self._number)
                raise SplitError(
                    f"{place} is not UTF-8: {error.reason} (byte {error.start}).", "Save it as UTF-8."
                ) from None


def _read(file: OpenedFile, rows: Rows, delimiter: str) -> None:
    lines = _Lines(file)
    before = csv.field_size_limit(MAX_ROW_BYTES)
    try:
        table = csv.reader(lines, delimiter=delimiter, strict=True)
        header: list[str] = []
        form: Form | None = None
        while True:
            lines.begin_row()
            cells = next(table, None)
            if cells is None:
                return
            if not cells:
                continue
            if form is None:
                header = _header(cells, delimiter, lines.place)
                form = rows.form(tuple(name for name in header if name), Place(file.where))
            else:
                rows.add(_row(header, cells, form, lines.place), lines.place)
    except csv.Error as error:
        raise SplitError(
            f"{lines.place}: {error}.", 'Put cells with line breaks or quotes into quotes, and write " as "".'
        ) from None
    finally:
        csv.field_size_limit(before)


def _header(cells: list[str], delimiter: str, place: Place) -> list[str]:
    if len(cells) == 1:
        for other, words in _OTHER_DELIMITERS.items():
            if other != delimiter and other in cells[0]:
                raise SplitError(
                    f"{place}: the columns are separated by {words}, not by {_OTHER_DELIMITERS[delimiter]}.",
                    "Commas go into a file .csv, tabs into a file .tsv.",
                )
    header = [cell.strip() for cell in cells]
    twice = repeated(name for name in header if name)
    if twice is not None:
        raise SplitError(f"{place}: the column {twice[:80]!r} is there twice.", "Which one counts? Rename the other.")
    return header


def _row(header: list[str], cells: list[str], form: Form, place: Place) -> dict[str, object]:
    if len(cells) != len(header):
        raise SplitError(
            f"{place} has {len(cells)} cells; the header has {len(header)}.",
            "Put cells with a comma, a tab or a line break into quotes.",
        )
    row: dict[str, object] = {name: cell for name, cell in zip(header, cells, strict=True) if name}
    if _is_json(form, row):
        name = form.text_columns[0]
        row[name] = msgspec.Raw(str(row[name]).encode())
    return row


def _is_json(form: Form, row: dict[str, object]) -> bool:
    if form.holds_messages or (form.text == "turns" and not form.mapped):
        return True
    return form.text in {"turns", "prompt"} and str(row[form.text_columns[0]]).startswith('["')
