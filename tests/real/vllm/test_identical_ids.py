"""vLLM, in its own process and as a server, reads the same token ids as the transformers engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.config import Load, Pair, Sampling
from pytest_speedbench.engines.base import Emission
from pytest_speedbench.engines.openai.answer import StreamedAnswer
from pytest_speedbench.measure.prompts import ids_hash
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split
from tests.real.vllm.conftest import vllm_pair

ROOT = Path(__file__).resolve().parents[3]
MINI = load_split("mini")
SAMPLING = Sampling(4)
Hashes = Mapping[str, Sequence[str]]


def hashes(run: Run) -> Hashes:
    return {c.question_id: [turn.prompt_sha256 for turn in c.turns] for c in run.conversations}


def check_seen(seen: Mapping[str, Sequence[int]], recorded: Hashes) -> None:
    """What the engine says it read is what the measurement recorded."""
    expected = {f"{name}/{n}": turn for name, turns in recorded.items() for n, turn in enumerate(turns, start=1)}
    assert {request: ids_hash(ids) for request, ids in seen.items()} == expected


@pytest.fixture(scope="module")
def expected() -> Hashes:
    """Of the transformers engine, in this process."""
    pair = Pair("alone", "transformers", "bundled:target", None, {"threads": 1})
    with Runner() as runner:
        return hashes(runner.measure(pair, MINI, SAMPLING, Load(1)))


def test_vllm_reads_the_same_ids(expected: Hashes, vllm_python: str, tmp_path: Path) -> None:
    """Its environment has another version of transformers, which must make the same ids of the same text."""
    out = tmp_path / "seen.json"
    command = [vllm_python, "-m", "tests.real.vllm.seen_ids", str(out)]
    done = subprocess.run(command, cwd=ROOT, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.read_text())
    check_seen(found["seen"], found["hashes"])
    assert found["hashes"] == expected


def test_the_vllm_engine_is_sent_the_same_ids(expected: Hashes, vllm_python: str) -> None:
    """From this process into that of the engine."""
    with Runner() as runner:
        assert hashes(runner.measure(vllm_pair("seen", None, vllm_python), MINI, SAMPLING, Load(16))) == expected


def test_the_server_reads_the_same_ids(expected: Hashes, vllm_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns the prompt's ids with the first of them that it emits."""
    seen: dict[str, list[int]] = {}
    read = StreamedAnswer.read

    def noted(answer: StreamedAnswer, data: bytes, at_s: float) -> Emission | None:
        if data.startswith(b"{"):
            for choice in json.loads(data)["choices"]:
                if choice.get("prompt_token_ids"):
                    seen[answer._request.request_id] = choice["prompt_token_ids"]
        return read(answer, data, at_s)

    monkeypatch.setattr(StreamedAnswer, "read", noted)
    pair = replace(vllm_pair("seen", None, vllm_python), engine="vllm-serve")
    with Runner() as runner:
        recorded = hashes(runner.measure(pair, MINI, SAMPLING, Load(16)))
    check_seen(seen, recorded)
    assert recorded == expected
