"""pytest-xdist: the tests that measure run in one worker, or it is said that they do not.

Workers share no memory: each would measure the same settings again, on a machine that the others keep busy. Only the
workers know which tests use the fixture, and only the controller distributes them, so the workers write it down.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_FOLDER = pytest.StashKey[Path]()
_KEY = "speedbench_folder"
_TOGETHER = ("load", "loadgroup")


def tell_worker(node: Any) -> None:
    """Tell a worker where to write which of its tests measure, if they are to run in one.

    Args:
        node: the worker's controller, before the worker starts.
    """
    config: pytest.Config = node.config
    if config.option.dist not in _TOGETHER:
        return
    if _FOLDER not in config.stash:
        folder = tempfile.TemporaryDirectory(prefix="speedbench-workers-")
        config.add_cleanup(folder.cleanup)
        config.stash[_FOLDER] = Path(folder.name)
    node.workerinput[_KEY] = str(config.stash[_FOLDER])


def told_by_workers(config: pytest.Config) -> frozenset[str]:
    """The tests that measure, by what the workers wrote."""
    if _FOLDER not in config.stash:
        return frozenset()
    return frozenset(name for file in config.stash[_FOLDER].iterdir() for name in json.loads(file.read_bytes()))


def workers_of(config: pytest.Config, items: Sequence[pytest.Item]) -> int:
    """How many workers may run the tests that measure; says which they are to the controller.

    Args:
        config: of the session, or of a worker.
        items: the tests that measure.
    """
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        return 1
    if _KEY in given:
        try:
            told = json.dumps([item.nodeid for item in items])
            Path(given[_KEY], given["workerid"]).write_text(told, encoding="utf-8")
        except OSError:  # a worker on another machine
            return int(given["workercount"])
        return 1
    return int(given["workercount"])


def side_by_side(workers: int) -> str:
    """Says what it means that several workers measure."""
    return (
        f"{workers} workers may measure side by side: each measures equal settings again, and speeds are those of a "
        "busy machine. With a [tool.speedbench] table or option and --dist=load, all tests that use speedbench run in "
        "one."
    )


def spread_over_workers(config: pytest.Config) -> list[str]:
    """A line of the header, if the tests that measure may run in several workers."""
    workers = len(getattr(config.option, "tx", None) or ())
    if getattr(config.option, "dist", "no") in ("no", *_TOGETHER) or workers < 2:
        return []
    return [f"speedbench: {side_by_side(workers)}"]
