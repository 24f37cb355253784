"""What a drafter folder is, by all that says so, and what is done with one that is given as another kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.drafter_kinds import DrafterKind, kind_of
from pytest_speedbench.engines.fit import check_kind, check_models, check_target
from pytest_speedbench.engines.sglang.checks import check_drafter as check_for_sglang
from pytest_speedbench.engines.transformers.checks import check_drafter
from pytest_speedbench.engines.trtllm.speculation import decoding_fields
from pytest_speedbench.engines.vllm.arguments import engine_arguments as vllm_arguments
from pytest_speedbench.engines.vllm.checks import check_drafter as check_for_vllm
from pytest_speedbench.engines.vllm.kinds import assumed_fields, check_resolved, parallel_drafting
from pytest_speedbench.errors import EngineError, SpeedbenchWarning
from tests.unit.engines.tiny_models import write_head, write_speculators_head

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
DFLASH = {"architectures": ["DFlashDraftModel"], "model_type": "qwen3", "block_size": 4}


def written(folder: Path, config: dict[str, Any], *tensors: str) -> Checkpoint:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({name: torch.zeros(1) for name in tensors or ("lm_head.weight",)}, folder / "model.safetensors")
    return open_checkpoint(str(folder), download=True)


@pytest.mark.parametrize(
    ("config", "tensors", "kind"),
    [
        (LLAMA, (), DrafterKind.LANGUAGE_MODEL),
        ({**LLAMA, "pard_token": 9}, (), DrafterKind.PARD),
        ({}, (), DrafterKind.UNSAID),
        (LLAMA, ("fc.weight", "layers.0.mlp.up_proj.weight"), DrafterKind.EAGLE),
        ({"architectures": ["EagleLlamaForCausalLM"]}, (), DrafterKind.EAGLE),
        ({"architectures": ["LlamaForCausalLMEagle3"]}, (), DrafterKind.EAGLE3),
        ({"architectures": ["Eagle3Qwen3ForCausalLM"]}, (), DrafterKind.EAGLE3),
        ({**LLAMA, "draft_vocab_size": 32000}, (), DrafterKind.EAGLE3),
        ({**LLAMA, "draft_vocab_size": None}, (), DrafterKind.LANGUAGE_MODEL),
        ({"architectures": ["Eagle2_5_VLForConditionalGeneration"]}, (), DrafterKind.LANGUAGE_MODEL),
        ({"architectures": ["PEagleDraftModel"], "draft_vocab_size": 9}, (), DrafterKind.P_EAGLE),
        ({"architectures": ["LlamaForCausalLMEagle3"]}, ("fc.weight", "mask_hidden"), DrafterKind.P_EAGLE),
        ({"architectures": ["LlamaForCausalLMEagle3"], "ptd_token_id": 9}, (), DrafterKind.P_EAGLE),
        (DFLASH, (), DrafterKind.DFLASH),
        ({**DFLASH, "architectures": ["DFlash2DraftModel"]}, (), DrafterKind.DFLASH2),
        ({**DFLASH, "markov_rank": 256}, (), DrafterKind.DSPARK),
        ({**DFLASH, "dflash_config": {"projector_type": "domino"}}, (), DrafterKind.DOMINO),
        ({**DFLASH, "dflash_config": {"projector_type": "new"}}, (), DrafterKind.OTHER),
        ({"architectures": ["Qwen3DSparkModel"]}, (), DrafterKind.DSPARK),
        ({**LLAMA, "dflash_config": {"target_layer_ids": [1]}}, (), DrafterKind.DFLASH),
        ({"medusa_num_heads": 3}, (), DrafterKind.MEDUSA),
        ({"architectures": ["BertModel"]}, (), DrafterKind.OTHER),
        ({"speculators_model_type": "eagle3", "draft_vocab_size": 9}, (), DrafterKind.EAGLE3),
        ({"speculators_model_type": "peagle", "draft_vocab_size": 9}, (), DrafterKind.P_EAGLE),
        ({"speculators_model_type": "dflash", "draft_vocab_size": 9}, (), DrafterKind.DFLASH),
        ({"speculators_model_type": "dflash2", "draft_vocab_size": 9}, (), DrafterKind.DFLASH2),
        ({"speculators_model_type": "dspark", "draft_vocab_size": 9}, (), DrafterKind.DSPARK),
        ({"speculators_model_type": "xpress", "draft_vocab_size": 9}, (), DrafterKind.XPRESS),
        ({"speculators_model_type": "mtp"}, (), DrafterKind.MTP),
        ({"speculators_model_type": "eagle5", "draft_vocab_size": 9}, (), DrafterKind.OTHER),
    ],
)
def test_a_folder_is_what_all_of_it_says(
    tmp_path: Path, config: dict[str, Any], tensors: tuple[str, ...], kind: DrafterKind
) -> None:
    assert kind_of(written(tmp_path / "drafter", config, *tensors)) is kind


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        ("eagle3", "peagle", r"\(speculators_model_type peagle\) is a P-EAGLE head\. Use eagle3:MODEL with the engine"),
        ("eagle3", "dflash", r"is a DFlash drafter\. Use dflash:MODEL"),
        ("dflash", "dspark", r"is a DSpark drafter\. No method here runs it, and as dflash it would be another"),
        ("dflash", "xpress", "is an XPress drafter"),
        ("dflash", "dflash2", r"is a DFlash 2 drafter\. Use dflash:MODEL with the engine vllm or sglang"),
        ("eagle3", "mtp", "is a drafter of multi-token-prediction layers"),
        ("draft_model", "eagle3", r"is an EAGLE-3 head\. Use eagle3:MODEL"),
        ("eagle", "eagle3", r"is an EAGLE-3 head\. Use eagle3:MODEL"),
        ("medusa", "eagle3", r"is an EAGLE-3 head\. Use eagle3:MODEL"),
        ("eagle3", "eagle5", r"\(speculators_model_type eagle5\) is a drafter of another kind"),
    ],
)
def test_another_kind_is_refused_by_its_name(tmp_path: Path, method: str, kind: str, words: str) -> None:
    drafter = written(tmp_path / "drafter", {"speculators_model_type": kind, "draft_vocab_size": 9})
    with pytest.raises(EngineError, match=words):
        check_kind(drafter, DrafterMethod(method))


@pytest.mark.parametrize("kind", ["peagle", "dflash", "dspark", "mtp"])
def test_no_drafter_is_a_target(tmp_path: Path, kind: str) -> None:
    with pytest.raises(EngineError, match=r"The target .* is a .*Give it as the drafter"):
        check_target(written(tmp_path / "drafter", {"speculators_model_type": kind}))


def test_a_published_dflash_drafter_is_refused_as_what_transformers_does_not_compute(tmp_path: Path) -> None:
    published = {**DFLASH, "dflash_config": {"mask_token_id": 1, "target_layer_ids": [1, 2, 3]}}
    with pytest.raises(EngineError, match=r"\(architecture DFlashDraftModel\) is in a layout that the transformers"):
        check_drafter(written(tmp_path / "drafter", published), DrafterMethod.DFLASH, 3)


def trtllm_fields(pair: Pair) -> object:
    return decoding_fields(pair, (1, 2))


def speculating(drafter: Path, method: str = "eagle3", **engine_args: Any) -> Pair:
    return Pair("p", "vllm", "bundled:target", Drafter(DrafterMethod(method), str(drafter), 3), engine_args)


def p_eagle(folder: Path) -> Path:
    written(folder, {"speculators_model_type": "peagle", "draft_vocab_size": 4096, "mask_token_id": 1}, "mask_hidden")
    return folder


def test_vllm_runs_two_kinds_more_and_may_not_be_told_otherwise(tmp_path: Path) -> None:
    head = p_eagle(tmp_path / "head")
    check_for_vllm(speculating(head))
    with pytest.raises(EngineError, match="is a P-EAGLE head"):
        check_models(speculating(head))
    with pytest.raises(EngineError, match=r"is a P-EAGLE head, and speculative_config\.parallel_drafting is false"):
        check_for_vllm(speculating(head, speculative_config={"parallel_drafting": False}))


@pytest.mark.parametrize(("engine", "arguments"), [("vllm", vllm_arguments), ("trtllm", trtllm_fields)])
def test_a_folder_that_came_with_the_start_is_looked_at_too(
    tmp_path: Path, engine: str, arguments: Callable[[Pair], object]
) -> None:
    drafter = written(tmp_path / "drafter", {"speculators_model_type": "dflash", "draft_vocab_size": 4096})
    pair = Pair("p", engine, "bundled:target", Drafter(DrafterMethod.EAGLE3, str(drafter.folder), 3))
    with pytest.raises(EngineError, match="is a DFlash drafter"):
        arguments(pair)


def test_vllm_is_told_to_draft_in_parallel(tmp_path: Path) -> None:
    told = parallel_drafting(open_checkpoint(str(p_eagle(tmp_path / "head")), download=True), {})
    assert told == {"parallel_drafting": True}
    assert parallel_drafting(open_checkpoint("bundled:eagle3", download=True), {}) == {}


@pytest.mark.parametrize(
    ("drafter", "resolved", "words"),
    [
        ("draft_model:bundled:draft", {"method": "eagle3"}, "vLLM drafts with the method eagle3, and the pair has the"),
        (
            "eagle3:bundled:eagle3",
            {"method": "eagle3", "parallel_drafting": True},
            "vLLM drafts all its tokens",
        ),
        (
            "eagle3:P-EAGLE",
            {"method": "eagle3", "parallel_drafting": False},
            "token by token, and the .* P-EAGLE",
        ),
        ("eagle3:bundled:eagle3", {"method": "eagle3", "parallel_drafting": False}, None),
        ("eagle3:P-EAGLE", {"method": "eagle3", "parallel_drafting": True}, None),
        ("mtp", {"method": "mtp"}, None),
        ("eagle3:bundled:eagle3", {}, None),
    ],
)
def test_what_vllm_resolved_is_compared_with_the_pair(
    tmp_path: Path, drafter: str, resolved: dict[str, object], words: str | None
) -> None:
    named = Drafter.parse(drafter.replace("P-EAGLE", str(p_eagle(tmp_path / "head"))))
    folder = None if named.model is None else open_checkpoint(named.model, download=True)
    with nullcontext() if words is None else pytest.raises(EngineError, match=words):
        check_resolved(named, folder, SimpleNamespace(**resolved))


def test_what_vllm_assumes_of_a_head_is_said(tmp_path: Path) -> None:
    head = write_speculators_head(tmp_path / "head", norm_before_residual=None)
    config = json.loads((head / "config.json").read_text())
    config["transformer_layer_config"] |= {"vocab_size": 4096, "hidden_size": 256}
    (head / "config.json").write_text(json.dumps({**config, "draft_vocab_size": 4096}))
    with pytest.warns(SpeedbenchWarning, match="does not give norm_before_residual: vLLM takes it for true"):
        check_for_vllm(speculating(head))


def test_a_block_drafters_mask_is_assumed_only_where_it_slides(tmp_path: Path) -> None:
    drafter = {"speculators_model_type": "dflash", "draft_vocab_size": 9}
    sliding = {"transformer_layer_config": {"layer_types": ["full_attention", "sliding_attention"]}}
    assert assumed_fields(written(tmp_path / "full", drafter)) == []
    assert assumed_fields(written(tmp_path / "sliding", drafter | sliding)) == ["sliding_window_non_causal"]
    said = drafter | sliding | {"sliding_window_non_causal": False}
    assert assumed_fields(written(tmp_path / "said", said)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm_before_residual": True}, "SGLang would leave out what the head .* asks for: norm_before_residual is"),
        ({"attention_bias": True}, "attention_bias is set"),
        ({"layer_types": ["sliding_attention"], "sliding_window": 8}, "a sliding_window of 8"),
        ({"tie_word_embeddings": True}, r"tie_word_embeddings is set beside an lm_head\.weight"),
    ],
)
def test_what_sglang_leaves_out_of_a_head_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    head = write_head(tmp_path / "head", **{"vocab_size": 4096, "hidden_size": 256, **changes})
    with pytest.raises(EngineError, match=words):
        check_for_sglang(speculating(head))


def test_sglang_is_told_a_heads_window_by_an_argument_of_its_own(tmp_path: Path) -> None:
    head = write_head(
        tmp_path / "head",
        vocab_size=4096,
        hidden_size=256,
        layer_types=["sliding_attention"],
        sliding_window=8,
        eagle_config={"eagle_aux_hidden_state_layer_ids": [0, 1, 2]},
    )
    check_for_sglang(speculating(head, speculative_draft_window_size=8))


def test_speculators_layout_is_refused_for_sglang(tmp_path: Path) -> None:
    head = write_speculators_head(tmp_path / "head", layer={"vocab_size": 4096, "hidden_size": 256})
    with pytest.raises(EngineError, match="is in the layout of speculators, which SGLang does not read"):
        check_for_sglang(speculating(head))
