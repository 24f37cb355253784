"""Keeps rows that may not be redistributed out of the user's commits."""

from __future__ import annotations

import subprocess
from pathlib import Path


def keep_from_git(folder: Path) -> None:
    """Write a ``.gitignore`` that covers all of a folder, if it is in a git work tree that does not ignore it."""
    whole = folder.resolve()
    if any((parent / ".git").exists() for parent in (whole, *whole.parents)) and not _ignored(whole):
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _ignored(folder: Path) -> bool:
    """Whether git would leave a file of the folder out; false if git cannot be asked."""
    command = ["git", "-C", str(folder), "check-ignore", "--quiet", "test.parquet"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
