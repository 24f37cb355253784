"""The EAGLE-3 head against a reference that has no cache and computes everything anew for every draft token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.transformers.eagle3 import Eagle3Candidates
from pytest_speedbench.engines.transformers.eagle3_loading import load_eagle3_head
from pytest_speedbench.engines.transformers.hidden_states import HiddenStateTap
from pytest_speedbench.engines.transformers.loading import TargetFrame
from pytest_speedbench.errors import EngineError
from tests.unit.engines.reference_eagle3 import Reference
from tests.unit.engines.tiny_models import (
    CONTEXT,
    HIDDEN,
    VOCAB,
    Models,
    extra_norms,
    head_tensors,
    write_head,
    write_speculators_head,
)
from tests.unit.engines.tiny_models import load as load_model


@torch.inference_mode()
def propose_along(target: Any, folder: Path, accepted: list[int], draft_length: int) -> list[tuple[Tensor, list[int]]]:
    """Drafts at every step of a decoding whose verification accepts as many tokens as ``accepted`` says."""
    checkpoint = open_checkpoint(str(folder), download=True)
    loaded = load_eagle3_head(checkpoint, TargetFrame.of(target), CONTEXT)
    tap = HiddenStateTap(target.get_decoder(), loaded.layer_ids)
    generator = Eagle3Candidates(loaded.head, tap, draft_length, CONTEXT - draft_length)
    random = torch.Generator().manual_seed(5)
    ids = torch.randint(VOCAB, (1, 9), generator=random)
    cache = DynamicCache(config=target.config)
    proposals = []
    target(ids, past_key_values=cache)
    ids = torch.cat((ids, torch.randint(VOCAB, (1, 1), generator=random)), dim=1)
    for count in accepted:
        candidates, _ = generator.get_candidates(ids)
        proposals.append((ids[0], candidates[0, ids.shape[1] :].tolist()))
        target(candidates[:, ids.shape[1] - 1 :], past_key_values=cache)
        cache.crop(count - draft_length)
        bonus = torch.randint(VOCAB, (1, 1), generator=random)
        ids = torch.cat((candidates[:, : ids.shape[1] + count], bonus), dim=1)
    tap.close()
    return proposals


@pytest.mark.parametrize("draft_length", [1, 3, 5])
@pytest.mark.parametrize(
    ("tensors", "changes"),
    [
        pytest.param(head_tensors(), {}, id="full vocabulary"),
        pytest.param(head_tensors(draft_vocab=20), {}, id="pruned vocabulary"),
        pytest.param(head_tensors(own_embedding=True), {}, id="own embedding"),
        pytest.param(head_tensors(), {"norm_before_residual": True}, id="norm before residual"),
        pytest.param(
            head_tensors(),
            {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [0, 2, 3]}},
            id="embeddings as auxiliary stream",
        ),
    ],
)
def test_proposals_equal_those_of_a_reference_without_a_cache(
    models: Models, tmp_path: Path, tensors: dict[str, Tensor], changes: dict[str, Any], draft_length: int
) -> None:
    target = load_model(LlamaForCausalLM, models.target)
    folder = write_head(tmp_path / "head", tensors, **changes)
    layer_ids = tuple(changes.get("eagle_config", {}).get("eagle_aux_hidden_state_layer_ids", (1, 3, 4)))
    reference = Reference(tensors, layer_ids, norm_before_residual="norm_before_residual" in changes)
    accepted = [min(count, draft_length) for count in (0, 5, 1, 2, 0, 3, 5, 5, 0)]

    proposals = propose_along(target, folder, accepted, draft_length)

    assert len({tuple(drafted) for _, drafted in proposals}) > 3, (
        "the drafts must differ for the comparison to mean much"
    )
    for ids, drafted in proposals:
        assert drafted == reference.draft(target, ids, draft_length), f"after {len(ids)} tokens"


SLIDING = {"layer_types": ["sliding_attention"], "sliding_window": 4}
QWEN3 = {"model_type": "qwen3"}


@pytest.mark.parametrize("draft_length", [3, 6])
@pytest.mark.parametrize(
    ("norms", "layer", "own"),
    [
        pytest.param((), {}, {}, id="as the flat layout"),
        pytest.param((), {}, {"norm_before_residual": True}, id="norm before residual"),
        pytest.param((), SLIDING, {}, id="sliding window"),
        pytest.param((), {**SLIDING, "sliding_window": 1}, {}, id="window of itself"),
        pytest.param(("input_norm",), {}, {"norm_before_fc": True}, id="norm before fc"),
        pytest.param(("fc_norm",), {}, {"fc_norm": True}, id="norm of each state"),
        pytest.param((), {}, {"norm_output": True}, id="normed output"),
        pytest.param(("qk_norm",), QWEN3, {}, id="Qwen 3's layer"),
        pytest.param(
            ("input_norm",),
            SLIDING,
            {"norm_before_fc": True, "norm_output": True, "norm_before_residual": True},
            id="as speculators trains",
        ),
    ],
)
def test_variants_of_speculators_layout_equal_the_reference(
    models: Models,
    tmp_path: Path,
    norms: tuple[str, ...],
    layer: dict[str, Any],
    own: dict[str, Any],
    draft_length: int,
) -> None:
    target = load_model(LlamaForCausalLM, models.target)
    tensors = {**head_tensors(draft_vocab=40), **extra_norms(*norms)}
    folder = write_speculators_head(tmp_path / "head", tensors, layer, **own)
    reference = Reference(
        tensors,
        (1, 3, 4),
        norm_before_residual=bool(own.get("norm_before_residual")),
        norm_output=bool(own.get("norm_output")),
        window=layer.get("sliding_window"),
    )

    proposals = propose_along(target, folder, [min(n, draft_length) for n in (0, 5, 1, 2, 0, 3, 5)], draft_length)

    for ids, drafted in proposals:
        assert drafted == reference.draft(target, ids, draft_length), f"after {len(ids)} tokens"
    plain = Reference(head_tensors(draft_vocab=40), (1, 3, 4))
    if norms or layer or own:
        assert any(drafted != plain.draft(target, ids, draft_length) for ids, drafted in proposals)


def test_a_window_of_the_flat_layout_is_computed(models: Models, tmp_path: Path) -> None:
    target = load_model(LlamaForCausalLM, models.target)
    folder = write_head(tmp_path / "head", layer_types=["sliding_attention"] * 4, sliding_window=3)
    reference = Reference(head_tensors(), (1, 3, 4), window=3)
    for ids, drafted in propose_along(target, folder, [0, 3, 1, 3], 3):
        assert drafted == reference.draft(target, ids, 3)


def load(folder: Path, models: Models) -> Any:
    target = load_model(LlamaForCausalLM, models.target)
    return load_eagle3_head(open_checkpoint(str(folder), download=True), TargetFrame.of(target), CONTEXT)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm_before_fc": True}, r"lacks the tensors input_norm\.weight"),
        ({"num_hidden_layers": 2}, "num_hidden_layers is 2"),
        ({"hidden_act": "gelu"}, "hidden_act is gelu"),
        ({"eagle_config": {"use_aux_hidden_state": False}}, "use_aux_hidden_state is false"),
        ({"eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 3, 5]}}, "within 0 to 4"),
        ({"eagle_config": {}}, "must be distinct"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "of type 'dynamic'"),
        (
            {"intermediate_size": 41},
            r"midlayer.mlp.gate_proj.weight has the shape \[40, 32\], and \[41, 32\] is needed",
        ),
    ],
)
def test_heads_that_would_be_computed_wrongly_are_refused(
    models: Models, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        load(write_head(tmp_path / "head", **changes), models)


def test_a_missing_and_an_unknown_tensor_are_named(models: Models, tmp_path: Path) -> None:
    lacking = head_tensors()
    del lacking["norm.weight"]
    with pytest.raises(EngineError, match=r"lacks the tensors norm\.weight"):
        load(write_head(tmp_path / "lacking", lacking), models)
    unknown = {**head_tensors(), "input_norm.weight": torch.ones(3 * HIDDEN)}
    with pytest.raises(EngineError, match=r"would be left out: input_norm\.weight"):
        load(write_head(tmp_path / "unknown", unknown), models)


def test_a_map_that_holds_target_ids_instead_of_offsets_is_refused(models: Models, tmp_path: Path) -> None:
    tensors = head_tensors(draft_vocab=20)
    tensors["d2t"] += torch.arange(20)
    tensors["d2t"][-1] = VOCAB - 1
    with pytest.raises(EngineError, match="points outside the vocabulary"):
        load(write_head(tmp_path / "head", tensors), models)


def test_other_names_of_the_same_layout_are_read(models: Models, tmp_path: Path) -> None:
    renamed = {"model." + name.replace("midlayer.", "layers.0."): tensor for name, tensor in head_tensors().items()}
    folder = tmp_path / "head"
    write_head(folder)
    original = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(renamed, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["Eagle3LlamaForCausalLM"]}))

    head = load(folder, models).head

    token, hidden = torch.tensor([3]), torch.ones(1, HIDDEN)
    expected = load(write_head(tmp_path / "plain", dict(original)), models).head
    assert torch.equal(
        head.step(token, hidden, 0, head.new_cache(1)), expected.step(token, hidden, 0, expected.new_cache(1))
    )
