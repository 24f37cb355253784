"""Ctrl-C in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.integration.conftest import Bench


def test_an_interrupt_ends_at_once_and_leaves_nothing_half_written(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", "slow_s = 0.2 }", 1))
    bench.write_test(
        """
        def test_gate(speedbench):
            print("measuring", flush=True)
            speedbench.measure().assert_no_regression()
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(bench.path / "site"), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "--speedbench-update"],
        cwd=bench.path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - ignored in the background
    )
    assert process.stdout is not None
    seen = ""
    while "measuring" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 2, seen + rest
    assert "KeyboardInterrupt" in rest
    assert not (bench.path / "baselines").exists()
