"""The conformance suite on real SGLang, through Triton's interpreter: slow, so that it is asked little.

Set TEST_SGLANG_PYTHON to the interpreter of an environment that has it: ``tests/real/sglang/run.sh`` makes one.
"""

from __future__ import annotations

import os

import pytest

from pytest_speedbench.conformance.findings import Outcome
from pytest_speedbench.conformance.suite import Suite
from tests.real.conformance import words
from tests.real.sglang.asking import on_a_cpu, sglang_pair

PYTHON = os.environ.get("TEST_SGLANG_PYTHON")
NO_SEEDS = "seeds"
"""SGLang draws by a request's seed in its deterministic mode only."""
BY_ARGMAX = {"sampling-1", "sampling-0.7"}
"""On a CPU it verifies by argmax whatever the temperature; only the prefill's token is sampled. The interpreter is so
slow that the draws may be too few to show it: then it is absent, and never kept."""


@pytest.mark.skipif(not PYTHON, reason="TEST_SGLANG_PYTHON names no interpreter of an environment with SGLang")
def test_sglang_keeps_all_but_what_depends_on_the_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_cpu(monkeypatch.setenv)
    with Suite(sglang_pair("eagle3:bundled:eagle3", str(PYTHON))) as suite:
        findings = {finding.promise: finding for finding in suite.hold_all()}
    broken = words(findings, Outcome.BROKEN)
    assert broken.keys() <= {NO_SEEDS, *BY_ARGMAX}, broken
    assert not words(findings, Outcome.KEPT).keys() & BY_ARGMAX
    assert words(findings, Outcome.ABSENT).keys() <= {"counters", *BY_ARGMAX}
