"""What the transformers engine refuses before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Pair
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.transformers import checks
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError

TARGET = {"architectures": ["LlamaForCausalLM"], "vocab_size": 32, "hidden_size": 16}
HEAD = {**TARGET, "architectures": ["LlamaForCausalLMEagle3"]}


def write(folder: Path, config: dict[str, Any]) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


def refuse(tmp_path: Path, target: dict[str, Any], drafter: dict[str, Any] | None, method: DrafterMethod) -> str:
    model = write(tmp_path / "target", target)
    drafted = Drafter(method, None if drafter is None else write(tmp_path / "drafter", drafter))
    with pytest.raises(EngineError) as caught:
        engine_factory("transformers").check(Pair("pair", "transformers", model, drafted))
    assert caught.value.remedy
    return caught.value.problem


@pytest.mark.parametrize(
    ("method", "config"),
    [
        (DrafterMethod.EAGLE3, HEAD),
        (DrafterMethod.EAGLE3, {**HEAD, "hidden_size": 8, "target_hidden_size": 16}),
        (DrafterMethod.DRAFT_MODEL, {**TARGET, "hidden_size": 8}),
        (DrafterMethod.NGRAM, None),
    ],
)
def test_pairs_that_fit_pass(tmp_path: Path, method: DrafterMethod, config: dict[str, Any] | None) -> None:
    model = write(tmp_path / "target", TARGET)
    drafter = Drafter(method, None if config is None else write(tmp_path / "drafter", config))
    engine_factory("transformers").check(Pair("pair", "transformers", model, drafter))


@pytest.mark.parametrize("method", [DrafterMethod.EAGLE3, DrafterMethod.DRAFT_MODEL])
def test_another_vocabulary_is_refused(tmp_path: Path, method: DrafterMethod) -> None:
    config = HEAD if method is DrafterMethod.EAGLE3 else TARGET
    problem = refuse(tmp_path, TARGET, {**config, "vocab_size": 33}, method)
    assert "has a vocabulary of 33 tokens" in problem
    assert "one of 32" in problem


def test_a_head_for_another_width_is_refused(tmp_path: Path) -> None:
    problem = refuse(tmp_path, TARGET, {**HEAD, "hidden_size": 8}, DrafterMethod.EAGLE3)
    assert "reads hidden states of width 8" in problem
    assert "has 16" in problem


def test_a_language_model_is_no_head_and_a_head_no_language_model(tmp_path: Path) -> None:
    assert "is no EAGLE-3 head" in refuse(tmp_path, TARGET, TARGET, DrafterMethod.EAGLE3)


def test_a_head_is_no_draft_model(tmp_path: Path) -> None:
    assert "is an EAGLE-3 head" in refuse(tmp_path, TARGET, HEAD, DrafterMethod.DRAFT_MODEL)


def test_a_head_is_no_target(tmp_path: Path) -> None:
    assert "The target" in refuse(tmp_path, HEAD, None, DrafterMethod.NGRAM)


def test_a_model_that_generates_no_text_is_no_target(tmp_path: Path) -> None:
    encoder = {**TARGET, "architectures": ["BertModel"]}
    assert "no causal language model: its architecture is BertModel" in refuse(
        tmp_path, encoder, None, DrafterMethod.NGRAM
    )


@pytest.mark.parametrize(
    ("engine_args", "words"),
    [
        ({"thread": 1}, r"no argument 'thread'\. Did you mean 'threads'\? Its arguments are: device, dtype"),
        ({"zzz": 1}, r"no argument 'zzz'\. Its arguments are"),
        ({"threads": 0}, "threads must be a whole number of at least 1, not 0"),
        ({"threads": True}, "not True"),
        ({"prompt_lookup_max": 1.5}, "not 1.5"),
        ({"dtype": "int4"}, "no dtype 'int4'"),
        ({"device": 3}, "device must be text"),
    ],
)
def test_engine_arguments_that_cannot_be_used_are_refused(engine_args: dict[str, EngineArg], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        TransformersOptions.parse(engine_args)


def test_engine_arguments_are_parsed() -> None:
    assert TransformersOptions.parse({}) == TransformersOptions()
    asked: dict[str, EngineArg] = {
        "device": "cpu",
        "dtype": "bfloat16",
        "threads": 2,
        "attn_implementation": "eager",
        "prompt_lookup_max": 5,
    }
    assert TransformersOptions.parse(asked) == TransformersOptions("cpu", "bfloat16", 2, "eager", 5)


@pytest.mark.parametrize("package", ["torch", "transformers", "safetensors"])
def test_a_missing_package_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(EngineError, match=rf'package {package}, .* pip install "pytest-speedbench\[transformers\]"'):
        checks.check_packages()


@pytest.mark.parametrize(
    ("found", "passes"), [("5.19.0", False), ("5.20.0", True), ("5.40.0.dev0", True), ("6.0", False)]
)
def test_other_versions_of_transformers_are_refused(monkeypatch: pytest.MonkeyPatch, found: str, passes: bool) -> None:
    monkeypatch.setattr(checks, "version", lambda _: found)
    if passes:
        checks.check_packages()
    else:
        with pytest.raises(EngineError, match=f"{found} is installed"):
            checks.check_packages()


def test_checking_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    target, head = write(tmp_path / "target", TARGET), write(tmp_path / "head", HEAD)
    script = f"""
import sys
from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.identity import model_identity
from pytest_speedbench.engines.registry import engine_factory, known_engines
known_engines()
pair = Pair("pair", "transformers", {target!r}, Drafter(DrafterMethod.EAGLE3, {head!r}))
engine_factory("transformers").check(pair)
model_identity(pair)
print(sorted({{"torch", "transformers", "numpy", "huggingface_hub"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
