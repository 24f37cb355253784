from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_speedbench.conformance.left_behind import Watch
from pytest_speedbench.engines.processes import EngineProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
ORPHAN = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True)"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def left(watch: Watch, within_s: float = 0.2) -> list[str]:
    return asyncio.run(watch.left(within_s))


def test_what_ran_before_is_not_left_behind(started: list[subprocess.Popen[bytes]]) -> None:
    started.append(subprocess.Popen(SLEEP))
    watch = Watch()
    assert watch.note() == 0
    assert left(watch) == []


def test_a_child_that_is_left(started: list[subprocess.Popen[bytes]]) -> None:
    watch = Watch()
    started.append(subprocess.Popen(SLEEP, start_new_session=True))
    assert watch.note() == 1
    assert [line.split()[0] for line in left(watch)] == [str(started[0].pid)]
    started[0].kill()
    started[0].wait()
    assert left(watch) == []


def test_an_orphan_of_a_process_that_was_seen(tmp_path: Path) -> None:
    """Its parent is gone, its session and its owner's token are the parent's."""
    ready = tmp_path / "ready"
    script = f"{ORPHAN}; open({str(ready)!r}, 'w').close(); import time; time.sleep(60)"

    async def session() -> list[str]:
        watch = Watch()
        process = EngineProcess.start([sys.executable, "-c", script, *SLEEP])
        while not ready.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        watch.note()
        os.kill(process.pid, 9)
        await process.wait()
        orphans = await watch.left(0.2)
        assert orphans == [f"{process.output()} ({' '.join(SLEEP)})"]
        await process.stop()
        return await watch.left(1.0)

    assert asyncio.run(session()) == []
