"""Rows from parquet files, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.files.opened import OpenedFile
from pytest_speedbench.splits.forms import Form, Place, Row
from pytest_speedbench.splits.rows import MAX_ROWS, Rows
from pytest_speedbench.splits.unaskable import unaskable

MAX_UNPACKED_BYTES = 16 * 2**30
"""Of a file, its columns without a meaning included; of the text far less is kept."""

_MAGIC = b"PAR1"
_BATCH_BYTES = 16 * 2**20
_MAX_BATCH_ROWS = 256
_MAX_REPEATED_BYTES = 2**30
"""What a batch may unpack to where each of its rows repeats the whole of a column, as a dictionary allows."""
_BUFFER_BYTES = 2**20
_SHOWN_CHARACTERS = 200


def read_parquet(file: OpenedFile, rows: Rows) -> None:
    """Add each row; only the columns with a meaning are read.

    Raises:
        SplitError: it is damaged, its columns have types without text, it unpacks to too much, or has what is no row
            of a split; or pyarrow is not installed.
    """
    if not file.head.startswith(_MAGIC):
        raise SplitError(f"{file.where} is no parquet file.", "Does its name end as its content is? Fetch it again.")
    file.handle.seek(-len(_MAGIC), 2)
    if file.handle.read() != _MAGIC:
        raise SplitError(f"{file.where} is cut off: a parquet file ends with {_MAGIC.decode()}.", "Copy it again.")
    file.handle.seek(0)
    for number, row in enumerate(_rows(file, rows), start=1):
        rows.add(row, Place(file.where, "row", number))


def _rows(file: OpenedFile, rows: Rows) -> Iterator[Row]:
    """The rows, with what pyarrow raises on damaged files told in words."""
    arrow, parquet = _pyarrow()
    try:
        table = parquet.ParquetFile(file.handle, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        names = tuple(table.schema_arrow.names)
        form = rows.form(names, Place(file.where))
        _check_types(table.schema_arrow, form, file.where, arrow)
        batch_rows = _batch_rows(table.metadata, file.where)
        number = 1
        for batch in table.iter_batches(batch_size=batch_rows, columns=list(form.names), use_threads=False):
            columns = [_values(batch.column(name), name, Place(file.where, "row", number)) for name in form.names]
            number += batch.num_rows
            for cells in zip(*columns, strict=True):
                yield dict(zip(form.names, cells, strict=True))
    except OSError as error:
        if error.errno is not None:  # not the file's content, but the disk
            raise
        raise _damaged(file.where, error) from None
    except (arrow.ArrowException, ValueError, LookupError) as error:
        raise _damaged(file.where, error) from None


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise SplitError(
            "Parquet files are read by pyarrow, which is not installed.",
            'Install it: pip install "pytest-speedbench[data]".',
        ) from None
    return arrow, parquet


def _damaged(where: str, error: Exception) -> SplitError:
    reason = str(error).partition("\n")[0][:_SHOWN_CHARACTERS]
    return SplitError(f"{where} is damaged: {reason}.", "Copy or write it again.")


def _check_types(schema: Any, form: Form, where: str, arrow: Any) -> None:
    for name in form.names:
        if len(schema.get_all_field_indices(name)) > 1:
            raise SplitError(f"{where}: the column {name!r} is there twice.", "Which one counts? Rename the other.")
        kind = schema.field(name).type
        if not _is_readable(kind, arrow):
            if name in form.unaskable:
                raise unaskable(name, where)
            raise SplitError(
                f"{where}: the column {name} has the type {str(kind)[:_SHOWN_CHARACTERS]}.", "Write it as text."
            )


def _is_readable(kind: Any, arrow: Any, *, nested: bool = False) -> bool:
    """Whether values of the type become texts, numbers, and lists and records of them.

    A dictionary inside a list is refused: there a file of a few hundred bytes can hold a row of a terabyte.
    """
    types = arrow.types
    if types.is_dictionary(kind):
        return not nested and _is_readable(kind.value_type, arrow, nested=True)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_readable(kind.value_type, arrow, nested=True)
    if types.is_struct(kind):
        return all(_is_readable(field.type, arrow, nested=True) for field in kind)
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(text or number or types.is_null(kind))


def _batch_rows(metadata: Any, where: str) -> int:
    """How many rows to unpack at once; known before anything is unpacked, so that a bomb is refused in time.

    It looks at row groups alone: asking for the metadata of a column aborts the process where they are damaged.
    """
    if metadata.num_rows > MAX_ROWS:
        raise SplitError(f"{where} has more than {MAX_ROWS:,} rows.", "Select those that are to be asked.")
    groups: list[int] = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    if sum(groups) > MAX_UNPACKED_BYTES:
        raise SplitError(
            f"{where} unpacks to {sum(groups) / 2**30:.0f} GiB; at most {MAX_UNPACKED_BYTES >> 30} are read.",
            "Select the rows and columns that are to be asked.",
        )
    row_bytes = max(1, sum(groups) // max(1, int(metadata.num_rows)))
    most = min(_BATCH_BYTES // row_bytes, _MAX_REPEATED_BYTES // max([1, *groups]))
    return max(1, min(_MAX_BATCH_ROWS, most))


def _values(column: Any, name: str, first: Place) -> list[object]:
    try:
        values: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        place = first._replace(number=first.number + next(_undecodable(column)))
        raise SplitError(f"{place}: the column {name} is not UTF-8.", "Write it as UTF-8.") from None
    return values


def _undecodable(column: Any) -> Iterator[int]:
    for position, value in enumerate(column):
        try:
            value.as_py()
        except UnicodeDecodeError:
            yield position
