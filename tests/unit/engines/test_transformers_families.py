"""Models that are not Llama: computed exactly in every use, or refused in one sentence before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.models.auto import modeling_auto
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.replay.targets import LiveTarget
from pytest_speedbench.engines.transformers import families
from pytest_speedbench.engines.transformers.loading import LoadedModel, Placement, first_words, load_language_model
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError
from tests.families import FAMILIES, write_family
from tests.family_uses import EXACT, REFUSED, Uses, uses_of
from tests.unit.engines.running import drafter, pair
from tests.unit.engines.tiny_models import LAYERS, Models, write_llama

STATE = "whose layers carry a state that transformers cannot take back when a draft is rejected."
NO_CLASS = "of which transformers loads no language model by itself."


@pytest.mark.parametrize(
    "name",
    ["gemma3", "gemma3-multimodal", "gpt-oss", "cohere2", "qwen3-window", "lfm2", "llama4-multimodal", "deepseek-v3"],
)
def test_windows_chunks_convolutions_and_mixtures_are_computed_exactly(name: str, tmp_path: Path) -> None:
    assert uses_of(name, tmp_path) == Uses(EXACT, EXACT, EXACT, EXACT)


@pytest.mark.parametrize("name", ["qwen3-next", "falcon-h1", "minimax"])
@pytest.mark.filterwarnings("ignore")  # of transformers, about kernels that are not there
def test_what_carries_a_state_is_computed_alone_and_replayed_but_reads_no_drafts(name: str, tmp_path: Path) -> None:
    found = uses_of(name, tmp_path)
    assert (found.alone, found.ngram, found.draft_model, found.replayed) == (EXACT, REFUSED, REFUSED, EXACT)
    assert len(found.reasons) == 1
    assert STATE in found.reasons[0]


def test_the_page_tells_of_every_family_and_of_none_that_is_computed_wrongly() -> None:
    page = (Path(__file__).parents[3] / "docs" / "families.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == list(FAMILIES)
    assert {word for row in rows for word in row[2:6]} == {EXACT, REFUSED}


def test_a_draft_model_that_carries_a_state_is_refused(models: Models, tmp_path: Path) -> None:
    mamba = write_family("mamba2", tmp_path)
    asked = pair(models.target, drafter(DrafterMethod.DRAFT_MODEL, mamba))
    with pytest.raises(EngineError, match=f"^The draft model .* is a mamba2 model, {STATE}"):
        engine_factory("transformers").check(asked)
    with pytest.raises(EngineError, match=f"is a mamba2 model, {STATE}"):
        load(mamba, drafts=True)


@pytest.mark.parametrize("method", [None, DrafterMethod.NGRAM, DrafterMethod.DRAFT_MODEL])
def test_a_multimodal_target_without_a_language_model_of_its_own_is_refused(
    method: DrafterMethod | None, models: Models, tmp_path: Path
) -> None:
    target = write_family("qwen2.5-vl", tmp_path)
    drafted = None if method is None else drafter(method, models.draft if "draft" in method.value else None)
    with pytest.raises(EngineError, match=f"is a qwen2_5_vl model, {NO_CLASS}") as caught:
        engine_factory("transformers").check(pair(target, drafted))
    assert "vllm, sglang" in (caught.value.remedy or "")
    with pytest.raises(EngineError, match=NO_CLASS):
        load(target)


def test_what_is_known_without_transformers_is_what_transformers_says() -> None:
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    classes: dict[str, Any] = {kind: getattr(transformers, name) for kind, name in causal.items()}
    carry_state = {
        kind for kind, cls in classes.items() if cls._is_stateful or not cls._supports_default_dynamic_cache()
    }
    assert carry_state == families.KEEPS_STATE
    conditional = {
        *modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    }
    ends = {kind for kind, name in causal.items() if name.endswith("ForConditionalGeneration")}
    assert (conditional & set(causal)) | ends == families.TEXT_OF_MULTIMODAL
    assert set(AUTO_QUANTIZER_MAPPING) | {"bitsandbytes"} == families.QUANTIZED


@pytest.mark.filterwarnings("ignore")  # of transformers, about end tokens
def test_a_head_on_a_target_whose_layers_are_named_otherwise_is_refused(tmp_path: Path) -> None:
    target = load(write_family("gpt2", tmp_path))
    with pytest.raises(EngineError, match="GPT2Model does not keep its layers where"):
        LiveTarget(target, 100)


@pytest.fixture
def nothing_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)


def load(folder: Path, *, drafts: bool = False) -> LoadedModel:
    checkpoint = open_checkpoint(str(folder), download=True)
    return load_language_model(checkpoint, Placement.choose(TransformersOptions()), drafts=drafts)


def change(folder: Path, remove: str | None = None, **fields: Any) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **fields}
    config.pop(remove, None)
    path.write_text(json.dumps(config), encoding="utf-8")


def add_tensors(folder: Path, *names: str) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), **{name: torch.ones(1) for name in names}}, path, metadata={"format": "pt"})


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "llama")


@pytest.mark.usefixtures("nothing_loads")
def test_a_model_without_a_context_length_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    folder = write_family("bloom", tmp_path)
    change(folder, remove="max_position_embeddings")
    with pytest.raises(EngineError, match="states no context length"):
        load(folder)


@pytest.mark.usefixtures("nothing_loads")
def test_a_model_that_transformers_does_not_know_is_refused_in_one_line(llama: Path) -> None:
    change(llama, model_type="another", architectures=["AnotherForCausalLM"])
    with pytest.raises(EngineError, match=r"transformers cannot read the config\.json") as caught:
        load(llama)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_of_long_messages_the_first_sentence_is_shown() -> None:
    assert first_words(ValueError("It is wrong. Models are: " + "a, " * 999)) == "It is wrong"
    assert first_words(ValueError("first\nsecond")) == "first"
    assert first_words(ValueError("word " * 99)).endswith("word …")
    assert len(first_words(ValueError("word " * 99))) <= 302
    assert not first_words(ValueError())


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize("role", ["target", "draft model"])
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}}, "is quantized by 'modelopt'"),
        ({}, r"has quantized weights \(model.layers.0.mlp.up_proj.weight_scale\)"),
    ],
)
def test_quantized_weights_whose_scales_transformers_ignores_are_refused(
    llama: Path, models: Models, config: dict[str, Any], words: str, role: str
) -> None:
    add_tensors(llama, "model.layers.0.mlp.up_proj.weight_scale")
    change(llama, **config)
    asked = pair(models.target, drafter(DrafterMethod.DRAFT_MODEL, llama))
    if role == "target":
        asked = pair(llama, Drafter(DrafterMethod.NGRAM, None, 3))
    with pytest.raises(EngineError, match=f"^The {role} .* {words}.*scales"):
        engine_factory("transformers").check(asked)
    with pytest.raises(EngineError, match=words):
        load(llama)


def test_a_tensor_that_the_class_does_not_read_is_refused_by_name(llama: Path) -> None:
    buffers = ("rotary_emb.inv_freq", "attn.bias", "attn.masked_bias")
    add_tensors(llama, *(f"model.layers.0.{name}" for name in buffers))
    load(llama)
    add_tensors(llama, "model.layers.1.self_attn.q_norm.weight")
    with pytest.raises(EngineError, match=r"have 1 tensors that LlamaForCausalLM .* model.layers.1.self_attn.q_norm"):
        load(llama)


def test_a_layer_more_than_the_config_counts_is_refused_unless_it_is_for_multi_token_prediction(llama: Path) -> None:
    add_tensors(llama, f"model.layers.{LAYERS}.mlp.up_proj.weight")
    with pytest.raises(EngineError, match=f"model.layers.{LAYERS}.mlp.up_proj.weight among them"):
        load(llama)
    change(llama, num_nextn_predict_layers=1)
    load(llama)
    add_tensors(llama, "model.mtp_layers.0.fc.weight")
    load(llama)


def test_a_vision_tower_is_left_out_only_of_a_multimodal_checkpoint(llama: Path) -> None:
    add_tensors(llama, "vision_tower.patch.weight")
    with pytest.raises(EngineError, match=r"vision_tower\.patch\.weight among them"):
        load(llama)
    change(llama, quantization_config=None, rope_config={})
    with pytest.raises(EngineError, match=r"vision_tower\.patch\.weight among them"):
        load(llama)
    change(llama, vision_config={"hidden_size": 8})
    load(llama)


def test_a_missing_tensor_is_refused_by_name(llama: Path) -> None:
    path = llama / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(EngineError, match=r"lack 1 tensors, model.norm.weight among them"):
        load(llama)
