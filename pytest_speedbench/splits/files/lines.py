"""Lines of a text file, one at a time, none longer than a row may be."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.files.opened import OpenedFile
from pytest_speedbench.splits.forms import Place
from pytest_speedbench.splits.rows import MAX_ROW_BYTES

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lines_of(file: OpenedFile) -> Iterator[bytes]:
    """The lines with their ends, without a byte-order mark.

    Raises:
        SplitError: a line is too long.
    """
    if file.head.startswith(b"PAR1"):
        raise SplitError(f"{file.where} is a parquet file.", "Give it a name that ends with .parquet.")
    number = 0
    while line := file.handle.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise SplitError(
                f"{Place(file.where, 'line', number)} is longer than {MAX_ROW_BYTES >> 20} MiB.",
                "Is it a text file with one row per line?",
            )
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
