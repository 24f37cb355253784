"""What safetensors files hold, read from their headers: names, dtypes, shapes. Imports no torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PREFIX_BYTES = 8
_LONGEST_HEADER_BYTES = 100_000_000
_NUMPY_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor lies.

    Attributes:
        file: that holds it.
        dtype: in safetensors' words, such as ``BF16``.
        shape: of the tensor.
        begin: offset of its first byte in the file.
        size_bytes: how many bytes it has.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    size_bytes: int

    def read(self) -> NDArray[np.generic] | None:
        """The values; ``None`` for a dtype that numpy does not have, such as BF16."""
        import numpy as np

        dtype = _NUMPY_DTYPES.get(self.dtype)
        if dtype is None:
            return None
        with self.file.open("rb") as file:
            file.seek(self.begin)
            content = file.read(self.size_bytes)
        return np.frombuffer(content, dtype=dtype).reshape(self.shape)


def tensor_entries(files: Sequence[Path]) -> Mapping[str, TensorEntry] | None:
    """The tensors of some files by name; ``None`` if one of them is no safetensors file or its header is damaged.

    Whoever loads the weights says what is wrong with such a file.
    """
    entries: dict[str, TensorEntry] = {}
    for path in files:
        try:
            entries |= _entries_of(path)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return None
    return entries


def _entries_of(path: Path) -> dict[str, TensorEntry]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(_PREFIX_BYTES))
        if length > _LONGEST_HEADER_BYTES:
            raise ValueError("no safetensors file")
        header = json.loads(file.read(length))
    found = {}
    for name, fields in header.items():
        if name != "__metadata__":
            begin, end = fields["data_offsets"]
            start = _PREFIX_BYTES + length + begin
            found[name] = TensorEntry(path, fields["dtype"], tuple(fields["shape"]), start, end - begin)
    return found
