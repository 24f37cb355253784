"""The trtllm adapter keeps the promises of every adapter, as far as a stand-in for TensorRT-LLM can show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_conformance_suite_passes(tmp_path: Path) -> None:
    # What the stand-in says does not depend on chance, so its samples have no distribution to look at.
    command = [sys.executable, "-m", "pytest", "-p", "tests.contracts.on_a_gpu", "-p", "no:cacheprovider", "-q"]
    pair = ["--speedbench-engine=trtllm", "--speedbench-model=bundled:target", "--speedbench-drafter=mtp"]
    suite = ["--pyargs", "pytest_speedbench.conformance", "-k", "not sampling"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *suite, *pair], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 broken" in done.stdout, done.stdout[-2000:]
