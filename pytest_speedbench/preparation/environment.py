"""An interpreter with the packages that the authors' script needs: a virtual environment of its own, made once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_speedbench.errors import SplitError

REQUIREMENTS = (
    "datasets==4.8.5",
    "huggingface-hub==1.33.0",
    'numpy==2.2.6; python_version < "3.14"',
    'numpy==2.3.5; python_version >= "3.14"',
    "pandas==2.3.3",
    "pyarrow==22.0.0",
    "tiktoken==0.12.0",
)
_STOP_S = 10.0
_STDERR = 2


def interpreter(python: str | None, cache: Path, report: Callable[[str], None]) -> Path:
    """The interpreter to run the script with.

    Args:
        python: one that the user has made ready; ``None`` for an environment of our own, built at its first use.
        cache: where it is kept.
        report: told before it is built.

    Raises:
        SplitError: there is no such interpreter, or the environment cannot be built.
    """
    if python is not None:
        found = shutil.which(python)
        if found is None:
            raise SplitError(f"{python} is no interpreter.", "Give the path of a python, or leave --python out.")
        return Path(found)
    key = hashlib.sha256("\n".join((sys.version, sys.base_prefix, *REQUIREMENTS)).encode()).hexdigest()[:16]
    folder = cache / f"environment-{key}"
    if not (folder / "bin" / "python").exists():
        report(f"building an environment for the authors' script in {folder}, once")
        _build(folder)
    return folder / "bin" / "python"


def _build(folder: Path) -> None:
    """Build it beside its place, then move it there: a folder with the name is always whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="environment-", dir=folder.parent))
    remedy = "Check the network and pip's settings, or make an environment yourself and name it: --python=PATH."
    try:
        for command in (
            (sys.executable, "-I", "-m", "venv", str(draft)),
            (str(draft / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", *REQUIREMENTS),
        ):
            if code := stream(command):
                raise SplitError(f"The environment for the authors' script cannot be built (exit code {code}).", remedy)
        try:
            os.rename(draft, folder)  # noqa: PTH104 - of folders
        except OSError:
            if not (folder / "bin" / "python").exists():
                raise SplitError(f"{folder} is in the way.", "Remove it and try again.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def stream(command: Sequence[str]) -> int:
    """Run a command with all its output on our stderr; returns its exit code. It does not outlive an interruption."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=_STDERR) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
