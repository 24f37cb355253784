"""The conformance suite on real vLLM: what it finds in the CPU build is a fault of that build, and the only one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.conformance.findings import Outcome
from tests.real.conformance import held, words
from tests.real.vllm.conftest import SLOW, vllm_pair

ROOT = Path(__file__).resolve().parents[3]
MENDED: dict[str, EngineArg] = {"worker_extension_cls": "benchmarks.oracle.vllm_cpu_sampling.MendedSampling"}
SAMPLED = {"seeds", "sampling-1", "sampling-0.7"}
"""What depends on the temperature, which the CPU build reads from unwritten memory when it speculates."""


def eagle3(python: str, **engine_args: EngineArg) -> Pair:
    return vllm_pair("conformance", "eagle3:bundled:eagle3", python, max_model_len=2048, **engine_args)


@pytest.mark.parametrize("engine", ["vllm", pytest.param("vllm-serve", marks=SLOW)])
def test_vllm_breaks_what_depends_on_the_temperature_and_nothing_else(
    engine: str, vllm_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = held(replace(eagle3(vllm_python), engine=engine), monkeypatch)
    broken = words(findings, Outcome.BROKEN)
    assert {"sampling-0.7"} <= broken.keys() <= SAMPLED, broken
    assert "other tokens are sampled" in broken["sampling-0.7"]
    assert words(findings, Outcome.ABSENT) == {}


@SLOW
def test_mended_vllm_keeps_every_promise(vllm_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    findings = held(eagle3(vllm_python, **MENDED), monkeypatch)
    assert words(findings, Outcome.BROKEN) == words(findings, Outcome.ABSENT) == {}
