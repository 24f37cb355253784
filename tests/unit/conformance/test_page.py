from __future__ import annotations

from dataclasses import replace

from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.conformance.effort import Effort
from pytest_speedbench.conformance.findings import Finding, Outcome
from pytest_speedbench.conformance.page import facts, markdown_page, plain_page
from pytest_speedbench.engines.base import EngineInfo

PAIR = Pair("x", "toy", "/models/target", Drafter.parse("eagle3:/models/head"))
INFO = EngineInfo("toy", "1.2", {}, "NVIDIA H100", 8, "CUDA 12.8", 64, 4096, 2048, (3,))
FINDINGS = [
    Finding("prompt", "ids in are ids seen", Outcome.KEPT, "3 prompts read back as they are", 1.0),
    Finding("counters", "counters agree", Outcome.ABSENT, "the engine has no counters", 0.0),
    Finding("limits", "limits are honoured", Outcome.BROKEN, "a limit of 1 | 2 gave 3", 2.0),
]


def test_the_page_names_engine_versions_device_and_pair() -> None:
    found = facts(PAIR, INFO, Effort.of(0.01, 3))
    assert found["device"] == "8 × NVIDIA H100, CUDA 12.8"
    assert found["drafter"] == "eagle3:/models/head, K = 3"
    assert "effort" not in found
    text = "\n".join(plain_page(found, FINDINGS))
    assert "version   1.2" in text
    assert "absent   counters      counters agree: the engine has no counters" in text
    assert text.endswith("1 kept, 1 broken, 1 absent in 3 s; absent is not kept")


def test_a_reduced_effort_is_said() -> None:
    found = facts(PAIR, replace(INFO, device_count=1), Effort.of(2.0, 3))
    assert found["effort"] == "reduced to 3 prompts of 8 tokens: 2.00 s per token"
    assert found["device"] == "NVIDIA H100, CUDA 12.8"


def test_the_markdown_page_is_a_table_with_what_is_broken_in_bold() -> None:
    text = markdown_page(facts(PAIR, INFO, None), FINDINGS)
    assert text.startswith("### Conformance of toy 1.2\n\n- engine: toy\n")
    assert "| counters agree (`counters`) | absent | the engine has no counters |\n" in text
    assert "| limits are honoured (`limits`) | **broken** | a limit of 1 \\| 2 gave 3 |\n" in text


def test_without_an_engine_there_is_a_page_too() -> None:
    assert "version" not in facts(PAIR, None, None)
    assert "### Conformance of toy\n" in markdown_page(facts(PAIR, None, None), FINDINGS)
