"""Engines start lazily, are shared, and end with the session however it ends: with real vLLM, process by process."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.vllm.leaks import Orphanage, orphanage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

PYPROJECT = """
[tool.pytest.ini_options]
addopts = ["-p", "no:cacheprovider", "-ra"]

[tool.speedbench]
pair = "x"
prompts = 11

[tool.speedbench.pairs.x]
engine = "vllm"
model = "bundled:target"
drafter = "eagle3:bundled:eagle3"
engine_args = {{ dtype = "float32", enforce_eager = true{more} }}
python = "{python}"
"""
MEASURE = """
def test_measure(speedbench):
    speedbench.measure()
"""
MEASURE_LONG = """
from pathlib import Path

def test_long(speedbench):
    speedbench.measure()
    Path("measuring").touch()
    speedbench.measure(prompts=176, fresh=True)

def test_next(speedbench):
    assert len(speedbench.measure(fresh=True).run.conversations) == 11
"""
HOST = "engines.worker.host"
CORE = "VLLM::EngineCore"
VLLM_PRINTS = re.compile(r"EngineCore|INFO \d\d-\d\d|WARNING \d\d-\d\d|Loading safetensors")
STARTED_S = 180.0
ENDED_S = 20.0


@dataclass
class Run:
    """pytest at work in a process group of its own, as a shell would start it."""

    path: Path
    process: subprocess.Popen[bytes]
    children: Orphanage

    @property
    def output(self) -> str:
        return (self.path / "output").read_text()

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + STARTED_S
        while not condition():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)

    def wait_until_measuring(self) -> None:
        self.wait_until((self.path / "measuring").exists)
        self.children.note_memory()
        time.sleep(1)
        assert self.process.poll() is None, self.output

    def the_core(self) -> int:
        (core,) = self.children.find(CORE)
        return core.pid

    def ends(self, within_s: float = STARTED_S) -> int:
        deadline = time.monotonic() + within_s
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"still runs after {within_s:g} s\n{self.output}"
            self.children.note_memory()
            time.sleep(0.2)
        return code

    def outcomes(self) -> dict[str, int]:
        last = self.output.splitlines()[-1]
        return {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|error)", last)}


class Project:
    """A small project with one pair, whose interpreter notes every start."""

    def __init__(self, path: Path, vllm_python: str, children: Orphanage, cleanup: ExitStack) -> None:
        self.path = path
        self.children = children
        self._cleanup = cleanup
        self._python = path / "python"
        launches = shlex.quote(str(path / "launches"))
        self._python.write_text(f'#!/bin/sh\necho "$*" >> {launches}\nexec {shlex.quote(vllm_python)} "$@"\n')
        self._python.chmod(0o755)

    @property
    def starts(self) -> int:
        """How many engines were started so far."""
        return (self.path / "launches").read_text().count("worker.host")

    def begin(self, test: str, *args: str, more: str = "") -> Run:
        """Start pytest on a test file; ``more`` is added to the pair's engine arguments."""
        (self.path / "pyproject.toml").write_text(PYPROJECT.format(python=self._python, more=more))
        (self.path / "test_it.py").write_text(textwrap.dedent(test))
        with (self.path / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *args],
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
            )
        self._cleanup.enter_context(process)
        self._cleanup.callback(process.kill)
        return Run(self.path, process, self.children)

    def run(self, test: str, *args: str, more: str = "") -> Run:
        """Run pytest to its end."""
        run = self.begin(test, *args, more=more)
        run.ends()
        return run


@pytest.fixture
def project(tmp_path: Path, vllm_python: str) -> Iterator[Project]:
    with ExitStack() as cleanup:
        children = cleanup.enter_context(orphanage())
        yield Project(tmp_path, vllm_python, children, cleanup)


def test_one_engine_starts_late_and_serves_all_tests_of_its_pair(project: Project) -> None:
    test = """
        from pathlib import Path

        def starts():
            return Path("launches").read_text().count("worker.host")

        def test_nothing_asked(speedbench):
            assert starts() == 0

        def test_first(speedbench):
            speedbench.measure()
            assert starts() == 1

        def test_broken(speedbench):
            speedbench.measure(fresh=True)
            assert 1 + 1 == 3

        def test_last(speedbench):
            assert len(speedbench.measure(fresh=True).run.conversations) == 11
    """
    collected = project.run(test, "--collect-only", "-q")
    assert "4 tests collected" in collected.output
    assert project.starts == 0

    run = project.run(test, "-s")
    assert run.outcomes() == {"passed": 3, "failed": 1}, run.output
    assert project.children.left() == []
    assert project.starts == 1
    assert not VLLM_PRINTS.search(run.output), run.output


def test_x_with_a_failing_first_test(project: Project) -> None:
    run = project.run(MEASURE_LONG.replace('Path("measuring").touch()', "assert 1 + 1 == 3"), "-x")
    assert run.outcomes() == {"failed": 1}, run.output
    assert project.children.left() == []
    assert project.starts == 1


def interrupt(run: Run, whom: str) -> None:
    """As ``kill -INT`` does, or as a terminal does."""
    if whom == "leader":
        run.process.send_signal(signal.SIGINT)
    else:
        os.killpg(run.process.pid, signal.SIGINT)
    assert run.ends(ENDED_S) == 2, run.output
    assert run.children.left() == []
    assert "! KeyboardInterrupt !" in run.output
    assert "Traceback" not in run.output
    assert not VLLM_PRINTS.search(run.output), run.output


@pytest.mark.parametrize(("whom", "moment"), [("leader", HOST), ("leader", CORE), ("group", CORE)], ids=str)
def test_ctrl_c_while_starting(project: Project, whom: str, moment: str) -> None:
    run = project.begin(MEASURE_LONG)
    run.wait_until(lambda: run.children.find(moment))
    time.sleep(0.5)
    interrupt(run, whom)


@pytest.mark.parametrize("whom", ["leader", "group"])
def test_ctrl_c_while_measuring(project: Project, whom: str) -> None:
    run = project.begin(MEASURE_LONG)
    run.wait_until_measuring()
    interrupt(run, whom)
    assert project.starts == 1


def test_ctrl_c_twice(project: Project) -> None:
    """The second one cuts short the stop that the first one began."""
    run = project.begin(MEASURE_LONG)
    run.wait_until_measuring()
    run.process.send_signal(signal.SIGINT)
    time.sleep(1)
    run.process.send_signal(signal.SIGINT)
    run.ends(ENDED_S)
    assert project.children.left() == []
    assert "was destroyed" not in run.output


def test_pytest_is_killed_while_measuring(project: Project) -> None:
    run = project.begin(MEASURE_LONG)
    run.wait_until_measuring()
    run.process.kill()
    run.ends(ENDED_S)
    assert project.children.left() == []


def test_an_engine_core_that_dies_fails_its_test_and_the_next_gets_a_fresh_engine(project: Project) -> None:
    run = project.begin(MEASURE_LONG)
    run.wait_until_measuring()
    os.kill(run.the_core(), signal.SIGKILL)
    run.ends()
    assert run.outcomes() == {"passed": 1, "failed": 1}, run.output
    assert project.children.left() == []
    assert project.starts == 2
    assert "FAILED test_it.py::test_long - The engine vllm failed: its engine core ended" in run.output
    assert VLLM_PRINTS.search(run.output), run.output


def test_an_engine_that_hangs_in_the_middle(project: Project) -> None:
    """First its core with a request under way, then, in the next engine, the process that hosts it, before one."""
    test = """
        import time
        from pathlib import Path

        def test_core(speedbench):
            speedbench.measure()
            Path("measuring").touch()
            speedbench.measure(prompts=176, fresh=True)

        def test_host(speedbench):
            speedbench.measure(fresh=True)
            Path("resting").touch()
            while not Path("go on").exists():
                time.sleep(0.05)
            speedbench.measure(fresh=True)
    """
    run = project.begin(test, "--speedbench-silence-timeout=5")
    run.wait_until_measuring()
    os.kill(run.the_core(), signal.SIGSTOP)
    run.wait_until((project.path / "resting").exists)
    (host,) = project.children.find(HOST)
    os.kill(host.pid, signal.SIGSTOP)
    (project.path / "go on").touch()
    run.ends()
    assert run.outcomes() == {"failed": 2}, run.output
    assert project.children.left() == []
    assert project.starts == 2
    assert "The engine vllm has emitted nothing for 5 s with requests under way." in run.output
    assert "The engine vllm has not answered for 5 s when asked for its counters." in run.output


def test_an_engine_that_hangs_at_its_start(project: Project) -> None:
    run = project.run(MEASURE, "--speedbench-start-timeout=4")
    assert run.outcomes() == {"failed": 1}, run.output
    assert project.children.left() == []
    assert project.starts == 1
    assert "The engine vllm did not start within 4 s. Raise the limit with --speedbench-start-timeout" in run.output


@pytest.mark.parametrize(
    ("more", "words", "shown"),
    [
        (", max_model_len = 100000000", r"[^\n]*max_model_len \(100000000\) is greater than", 1),
        (", max_model_length = 512", r"vLLM \S+ has no engine argument 'max_model_length'\. Did you mean '\w+'\?", 0),
    ],
    ids=["refused-value", "unknown-name"],
)
def test_an_engine_that_does_not_start(project: Project, more: str, words: str, shown: int) -> None:
    run = project.run(MEASURE, more=more)
    assert run.outcomes() == {"failed": 1}, run.output
    assert project.children.left() == []
    assert project.starts == 1
    assert re.search("The engine vllm does not start: " + words, run.output), run.output
    assert run.output.count("The engine's last output:") == shown
