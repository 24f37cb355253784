"""Small files read whole: never waiting for a pipe, never more than the memory is meant to hold."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 256 << 20
"""Some thirty times a calibrated baseline of all of SPEED-Bench's prompts."""
# Without it, opening a named pipe waits for somebody to write into it; Windows has neither.
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it is missing or cannot be read, it is a folder (:class:`IsADirectoryError`), a pipe or a device, or it
            is larger than ``most_bytes``. ``strerror`` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_WAITING)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes:,} bytes", str(path))
    return content
