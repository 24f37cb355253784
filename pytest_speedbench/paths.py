"""What lies at a path that somebody wrote; one that the system refuses is told in words."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from pytest_speedbench.errors import SpeedbenchError

_SHOWN_CHARACTERS = 120


def at_home(path: str) -> Path:
    """A path whose ``~`` is written out, where there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's own raises for a user that does not exist


def lies_at(path: Path, called: str, error: type[SpeedbenchError]) -> Literal["folder", "file", "nothing"]:
    """Look at a path; a link that leads nowhere is a file.

    Args:
        path: as it was written.
        called: what it is to the user, for messages.
        error: the kind of the error.

    Raises:
        SpeedbenchError: of that kind: the system refuses the path, as one that is too long.
    """
    # Not by pathlib's own questions: which refusals these take for "no" depends on Python's version.
    try:
        return "folder" if stat.S_ISDIR(os.stat(path).st_mode) else "file"  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "file" if os.path.islink(path) else "nothing"  # noqa: PTH114
    except OSError as refusal:
        if os.path.islink(path):  # noqa: PTH114 - one that leads to itself
            return "file"
        text = str(path)
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        reason = refusal.strerror or str(refusal)
        raise error(
            f"{called} cannot be looked for at {shown!r}: {reason.rstrip('.')}.",
            "Write the path of a file or folder that may be read, in at most 255 bytes from one slash to the next.",
        ) from None
