from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from pytest_speedbench.engines import checkpoints
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import EngineError


def write(folder: Path, config: Any, weights: str | None = "model.safetensors") -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if weights:
        (folder / weights).write_bytes(b"weights")
    return folder


def test_a_folder_is_opened_with_what_its_config_says(folder: Path) -> None:
    write(folder, {"architectures": ["LlamaForCausalLM"], "vocab_size": 32})
    checkpoint = open_checkpoint(str(folder), download=False)
    assert checkpoint is not None
    assert checkpoint.folder == folder
    assert checkpoint.architectures == ("LlamaForCausalLM",)
    assert (checkpoint.size("vocab_size"), checkpoint.size("hidden_size")) == (32, None)


@pytest.mark.parametrize(
    ("config", "generation", "ids"),
    [
        ({"eos_token_id": 3}, None, (3,)),
        ({"eos_token_id": 3}, {"eos_token_id": [3, 7]}, (3, 7)),
        ({"text_config": {"eos_token_id": 5}}, {}, (5,)),
        ({}, None, ()),
    ],
)
def test_the_generation_config_says_what_ends_a_sequence(
    folder: Path, config: dict[str, Any], generation: dict[str, Any] | None, ids: tuple[int, ...]
) -> None:
    write(folder, config)
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    assert open_checkpoint(str(folder), download=True).end_token_ids == ids


def test_the_language_model_inside_a_multimodal_one_is_asked(folder: Path) -> None:
    write(folder, {"vocab_size": 1, "text_config": {"vocab_size": 2}})
    assert open_checkpoint(str(folder), download=True).size("vocab_size") == 2


def test_safetensors_count_before_other_weights(folder: Path) -> None:
    write(folder, {}, "pytorch_model.bin")
    assert [path.name for path in checkpoints.weight_files(folder)] == ["pytorch_model.bin"]
    for name in ("b.safetensors", "a.safetensors"):
        (folder / name).write_bytes(b"")
    assert [path.name for path in checkpoints.weight_files(folder)] == ["a.safetensors", "b.safetensors"]


def test_a_missing_folder_is_named() -> None:
    for reference in ("/no/such/folder", "./no/such/folder", "~/no/such/folder"):
        with pytest.raises(EngineError, match=f"no model folder '{reference}'"):
            open_checkpoint(reference, download=True)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(EngineError, match="is a file"):
        open_checkpoint(str(tmp_path / "weights.safetensors"), download=True)


def test_a_folder_without_a_config_or_weights_is_no_model(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"has no config\.json"):
        open_checkpoint(str(folder), download=True)
    write(folder, {}, weights=None)
    with pytest.raises(EngineError, match="has no weights"):
        open_checkpoint(str(folder), download=True)


@pytest.mark.parametrize(("text", "words"), [("{", "cannot be read"), ("[]", "holds no object")])
def test_a_damaged_config_is_named(folder: Path, text: str, words: str) -> None:
    write(folder, {})
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(EngineError, match=words):
        open_checkpoint(str(folder), download=True)


def test_bundled_models_are_found_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    write(tmp_path / "target", {"vocab_size": 3})
    monkeypatch.setattr(checkpoints, "BUNDLED_FOLDER", tmp_path)
    assert open_checkpoint("bundled:target", download=False) == open_checkpoint("bundled:target", download=True)
    for reference in ("bundled:tarket", "bundled:../target", "bundled:"):
        with pytest.raises(EngineError, match=r"no bundled model .* Bundled models: bundled:target\."):
            open_checkpoint(reference, download=False)


class Hub:
    """Stands in for the hub: what is asked of it, and what it answers."""

    def __init__(self, answer: Path | Exception) -> None:
        self.answer = answer
        self.local_only: list[bool] = []

    def __call__(self, reference: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        assert reference == "org/name"
        assert "*.json" in allow_patterns
        self.local_only.append(local_files_only)
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def ask(monkeypatch: pytest.MonkeyPatch, answer: Path | Exception, *, offline: bool, download: bool) -> tuple[Any, Hub]:
    hub = Hub(answer)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    return open_checkpoint("org/name", download=download), hub


@pytest.mark.parametrize(
    ("offline", "download", "local_only"), [(False, True, False), (False, False, True), (True, True, True)]
)
def test_a_hub_id_is_fetched_only_when_allowed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, offline: bool, download: bool, local_only: bool
) -> None:
    write(folder, {})
    checkpoint, hub = ask(monkeypatch, folder, offline=offline, download=download)
    assert checkpoint.folder == folder
    assert hub.local_only == [local_only]


def test_a_hub_id_outside_the_cache_is_left_for_later_unless_the_hub_is_offline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = LocalEntryNotFoundError("not cached")
    assert ask(monkeypatch, missing, offline=False, download=False)[0] is None
    with pytest.raises(
        EngineError, match=r"the hub is offline with no such model in its cache\. .*unset HF_HUB_OFFLINE"
    ):
        ask(monkeypatch, missing, offline=True, download=False)
    with pytest.raises(EngineError, match="the hub cannot be reached"):
        ask(monkeypatch, missing, offline=False, download=True)


def test_the_hubs_refusal_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = ValueError("401 Client Error.\n\nmany more lines")
    with pytest.raises(EngineError, match="the hub does not give it: 401 Client Error") as caught:
        ask(monkeypatch, refusal, offline=False, download=True)
    assert "\n" not in str(caught.value)
    assert issubclass(RepositoryNotFoundError, Exception)
