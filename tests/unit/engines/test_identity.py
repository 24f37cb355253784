from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.identity import ModelIdentity, model_identity

CONFIG = {"architectures": ["LlamaForCausalLM"], "vocab_size": 8, "transformers_version": "1"}
SETTINGS = {"chat_template": "{{ messages }}", "bos_token": "<s>"}


def write_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "model-1.safetensors").write_bytes(b"one")
    (folder / "model-2.safetensors").write_bytes(b"two")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    return folder


def identify(target: Path, drafter: Drafter | None = None) -> ModelIdentity:
    return model_identity(Pair("pair", "transformers", str(target), drafter))


def replace(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (replace("model-2.safetensors", "tWo"), {"target_sha256"}),
        (replace("model-3.safetensors", ""), {"target_sha256"}),
        (replace("config.json", json.dumps({**CONFIG, "vocab_size": 9})), {"target_sha256"}),
        (replace("config.json", json.dumps({**CONFIG, "transformers_version": "2", "dtype": "bfloat16"})), set()),
        (replace("tokenizer.json", '{"a": 1}'), {"tokenizer_sha256"}),
        (replace("tokenizer_config.json", json.dumps({**SETTINGS, "bos_token": "<t>"})), {"tokenizer_sha256"}),
        (replace("tokenizer_config.json", json.dumps({**SETTINGS, "chat_template": "x"})), {"chat_template_sha256"}),
        (replace("chat_template.jinja", "own file"), {"chat_template_sha256"}),
        (replace("chat_template.jinja", SETTINGS["chat_template"]), set()),
        (replace("README.md", "words"), set()),
    ],
)
def test_a_hash_changes_with_what_it_covers_and_nothing_else(
    tmp_path: Path, change: Callable[[Path], None], changed: set[str]
) -> None:
    folder = write_model(tmp_path / "model")
    before = identify(folder)
    change(folder)
    after = identify(folder)
    names = ("target_sha256", "tokenizer_sha256", "chat_template_sha256", "drafter_sha256")
    assert {name for name in names if getattr(before, name) != getattr(after, name)} == changed


def test_the_folders_name_and_age_do_not_matter(tmp_path: Path) -> None:
    first, second = write_model(tmp_path / "a"), write_model(tmp_path / "b")
    os.utime(second / "model-1.safetensors", (1, 1))
    assert identify(first) == identify(second)


def test_the_same_bytes_in_other_files_are_another_model(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    before = identify(folder).target_sha256
    (folder / "model-1.safetensors").write_bytes(b"onetwo")
    (folder / "model-2.safetensors").write_bytes(b"")
    assert identify(folder).target_sha256 != before


def test_only_a_drafter_with_a_model_has_a_hash(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    head = write_model(tmp_path / "head")
    drafted = identify(folder, Drafter(DrafterMethod.EAGLE3, str(head)))
    assert drafted.drafter_sha256 == identify(head).target_sha256
    assert identify(folder).drafter_sha256 is None
    assert identify(folder, Drafter(DrafterMethod.NGRAM)).drafter_sha256 is None
    assert identify(folder, Drafter(DrafterMethod.MTP)).drafter_sha256 is None
    (head / "model-1.safetensors").write_bytes(b"1ne")
    assert identify(folder, Drafter(DrafterMethod.EAGLE3, str(head))).drafter_sha256 != drafted.drafter_sha256


def test_an_absent_template_has_the_hash_of_nothing(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "tokenizer_config.json").unlink()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert identify(folder).chat_template_sha256 == empty


def test_the_file_that_llama_cpp_loads_is_what_counts(tmp_path: Path) -> None:
    target = write_model(tmp_path / "target")
    for name in ("q4", "q8"):
        (tmp_path / f"{name}.gguf").write_bytes(name.encode())

    def of(engine: str, name: str) -> ModelIdentity:
        return model_identity(Pair("p", engine, str(target), engine_args={"gguf": str(tmp_path / f"{name}.gguf")}))

    assert of("llamacpp", "q4").target_sha256 == of("llamacpp", "q4").target_sha256
    assert of("llamacpp", "q4").target_sha256 != of("llamacpp", "q8").target_sha256
    assert of("transformers", "q4") == of("transformers", "q8") == identify(target)
    assert of("llamacpp", "q4").tokenizer_sha256 == identify(target).tokenizer_sha256


def test_a_folder_of_gguf_alone_is_a_model(tmp_path: Path) -> None:
    target = write_model(tmp_path / "target")
    next(target.glob("*.safetensors")).rename(target / "model.gguf")
    found = model_identity(Pair("p", "llamacpp", str(target)))
    (target / "model.gguf").write_bytes(b"other")
    assert model_identity(Pair("p", "llamacpp", str(target))).target_sha256 != found.target_sha256
