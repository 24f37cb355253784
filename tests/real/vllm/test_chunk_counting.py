"""Chunks are not steps: how far counting them is off on the real engine, and that our record and emissions are not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.baselines import load_baseline
from tests.real.vllm.chunks import chunk_al, engine_al, largest_chunk

ROOT = Path(__file__).resolve().parents[3]
BASELINES = ROOT / "baselines"
K = 3
CONDITIONS = [(busy, concurrency) for busy in (False, True) for concurrency in (1, 8, 64)]


@pytest.fixture(scope="module")
def runs(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[bool, int], dict[str, Any]]:
    """The requests of every condition, by request id."""
    out = tmp_path_factory.mktemp("chunks") / "runs.json"
    command = [vllm_python, "-m", "tests.real.vllm.starved_client", str(out)]
    done = subprocess.run(command, cwd=ROOT, timeout=500, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(out.read_text())
    return {(run["busy"], run["concurrency"]): run["requests"] for run in found}


@pytest.mark.parametrize(("busy", "concurrency"), CONDITIONS)
def test_ours_is_exact_under_any_load(
    runs: dict[tuple[bool, int], dict[str, Any]], busy: bool, concurrency: int
) -> None:
    requests = runs[busy, concurrency]
    stored = {p.id: p for p in load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").prompts}
    for name, request in requests.items():
        steps = sum(request["histogram"]) + request["undrafted_steps"]
        assert len(request["emissions"]) == 1 + steps, name
        assert max(request["emissions"]) <= K + 1
        assert request["undrafted_steps"] == 0
        if stored[name].turns == 1:
            assert tuple(request["histogram"]) == stored[name].histogram
            assert request["discarded_tokens"] == stored[name].discarded_tokens


def test_the_prefills_chunk_lowers_what_a_client_reads(runs: dict[tuple[bool, int], dict[str, Any]]) -> None:
    requests = runs[False, 1]
    assert chunk_al(requests, prefill=True) < chunk_al(requests, prefill=False) - 0.05


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_a_busy_client_merges_steps_and_reads_too_much(
    runs: dict[tuple[bool, int], dict[str, Any]], concurrency: int
) -> None:
    requests = runs[True, concurrency]
    assert largest_chunk(requests) > K + 1
    assert chunk_al(requests, prefill=False) > engine_al(requests) + 0.1
