"""Integration tests run pytest inside pytest, with the scripted engine as an installed third-party engine."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import tokenizers  # noqa: F401
import torch  # noqa: F401  inner sessions run in this process and forget what they import: these must come before
from scipy import stats  # noqa: F401
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

import pytest_speedbench.engines.transformers.engine
import pytest_speedbench.measurement
import pytest_speedbench.session
import pytest_speedbench.summary  # noqa: F401

CATEGORIES = ("coding", "math", "multilingual")
PROMPTS_PER_CATEGORY = 12

PYPROJECT = """
[tool.pytest.ini_options]
addopts = ["-p", "no:cacheprovider"]

[tool.speedbench]
pair = "good"
split = "small.jsonl"
max_tokens = 40

[tool.speedbench.pairs.good]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7 }

[tool.speedbench.pairs.weak]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 0.7, weak = "multilingual", weak_accept = 0.2 }
"""

GATE_TEST = """
def test_gate(speedbench):
    speedbench.measure().assert_no_regression()
"""


class Bench:
    """A project that uses speedbench, and ways to run its tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makepyprojecttoml(PYPROJECT)
        self.write_split("small.jsonl")
        info = self.path / "site" / "scripted_engine-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-engine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pytest_speedbench.engines]\nscripted = tests.scripted_engine\n")
        pytester.syspathinsert(self.path / "site")

    def write_split(self, name: str, *, rows: list[Mapping[str, object]] | None = None) -> Path:
        """Write a split of a few categories, or of the given rows."""
        if rows is None:
            rows = [
                {"question_id": f"{category}-{n}", "category": category, "turns": [f"Question {n} of {category}?"]}
                for category in CATEGORIES
                for n in range(PROMPTS_PER_CATEGORY)
            ]
        path = self.path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def write_test(self, source: str = GATE_TEST) -> None:
        """Write the project's test file."""
        self.pytester.makepyfile(test_drafter=textwrap.dedent(source))

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in this process."""
        return self.pytester.runpytest_inprocess("-p", "no:randomly", *args)

    def baseline(self, pair: str = "good", split: str = "small", folder: str = "baselines") -> Path:
        """Where a baseline is kept."""
        return self.path / folder / pair / f"{split}.json"


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says how wide a log is; pytest-xdist's workers would."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A project with the scripted engine, two pairs, a split and a test that gates."""
    for name in ("SPEEDBENCH_PAIR", "SPEEDBENCH_SPLIT"):
        monkeypatch.delenv(name, raising=False)
    project = Bench(pytester)
    project.write_test()
    return project
