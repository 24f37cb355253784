"""Multi-token prediction and DFlash: transformers' own generators, entered through this engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig, LlamaForCausalLM, MellumForCausalLM
from transformers.generation.candidate_generator import DFlashTokenCandidateGenerator, MTPCandidateGenerator
from transformers.models.muse_glimmer_assistant import MuseGlimmerAssistantConfig, MuseGlimmerAssistantModel

from pytest_speedbench.config import DrafterMethod, Sampling
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.errors import EngineError
from tests.unit.engines.mtp_targets import write_mtp_target
from tests.unit.engines.running import Answer, drafter, pair, run
from tests.unit.engines.tiny_models import CONTEXT, HIDDEN, LAYERS, VOCAB, Models, load

LIMIT, BLOCK = 30, 4
PROMPTS = [torch.randint(1, VOCAB, (10,), generator=torch.Generator().manual_seed(seed)).tolist() for seed in range(8)]
Drafts = list[tuple[list[int], list[int]]]


@pytest.fixture(scope="module")
def mtp_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mtp_target(tmp_path_factory.mktemp("mtp") / "target")


@pytest.fixture(scope="module")
def dflash_drafter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dflash") / "drafter"
    config = MuseGlimmerAssistantConfig(
        hidden_size=HIDDEN,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=CONTEXT,
        sliding_window=32,
        block_size=BLOCK,
        mask_token_id=VOCAB - 1,
        target_layer_ids=[0, LAYERS - 2],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        MuseGlimmerAssistantModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> Drafts:
    """Every draft that transformers' generators made, whoever asked, with the tokens it came after."""
    seen: Drafts = []
    for generator in (MTPCandidateGenerator, DFlashTokenCandidateGenerator):
        propose: Any = generator.get_candidates

        def spy(self: Any, input_ids: Any, propose: Any = propose, **loop: Any) -> Any:
            candidates, logits = propose(self, input_ids, **loop)
            if candidates.shape != input_ids.shape:
                seen.append((input_ids[0].tolist(), candidates[0, input_ids.shape[1] :].tolist()))
            return candidates, logits

        monkeypatch.setattr(generator, "get_candidates", spy)
    return seen


def generate(model: Any, prompt: list[int], **settings: Any) -> list[int]:
    """transformers without this engine."""
    config_class: Any = GenerationConfig
    config = config_class(max_new_tokens=LIMIT, do_sample=False, **settings.pop("generation", {}))
    ids = torch.tensor([prompt])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config, **settings)
    return list(output[0, len(prompt) :].tolist())


def accepted(answers: list[Answer]) -> int:
    return sum(answer.finish.acceptance.accepted_tokens for answer in answers if answer.finish.acceptance)


def test_mtp_drafts_what_transformers_drafts(mtp_target: Path, drafts: Drafts) -> None:
    measured = pair(mtp_target, drafter(DrafterMethod.MTP, draft_length=1))
    engine_factory("transformers").check(measured)
    info, answers = run(measured, [(prompt, Sampling(LIMIT)) for prompt in PROMPTS])
    ours = list(drafts)
    drafts.clear()
    target = load(MellumForCausalLM, mtp_target)
    outputs = [generate(target, prompt, generation={"use_mtp": True}) for prompt in PROMPTS]

    assert info.args["num_mtp_layers"] == 1
    assert [list(answer.ids) for answer in answers] == outputs
    assert outputs == [generate(target, prompt) for prompt in PROMPTS]
    assert ours == drafts
    assert accepted(answers) > 0


def test_dflash_drafts_what_transformers_drafts(models: Models, dflash_drafter: Path, drafts: Drafts) -> None:
    measured = pair(models.target, drafter(DrafterMethod.DFLASH, dflash_drafter, draft_length=BLOCK - 1))
    engine_factory("transformers").check(measured)
    info, answers = run(measured, [(prompt, Sampling(LIMIT, ignore_eos=True)) for prompt in PROMPTS])
    ours = list(drafts)
    drafts.clear()
    target = load(LlamaForCausalLM, models.target)
    target.generation_config.eos_token_id = None
    assistant = load(MuseGlimmerAssistantModel, dflash_drafter)
    settings: dict[str, Any] = {"assistant_model": assistant, "generation": {"speculation_type": "dflash"}}
    outputs = [generate(target, prompt, **settings) for prompt in PROMPTS]

    assert info.args["block_size"] == BLOCK
    assert [list(answer.ids) for answer in answers] == outputs
    assert outputs == [generate(target, prompt) for prompt in PROMPTS]
    # transformers leaves out the draft when a single token is missing; this engine drafts to the end.
    last = {len(prompt) + LIMIT - 1 for prompt in PROMPTS}
    assert [draft for draft in ours if len(draft[0]) not in last] == [d for d in drafts if len(d[0]) not in last]
    assert {len(draft) for _, draft in ours} == {BLOCK - 1}
    assert accepted(answers) > 0


@pytest.mark.parametrize("method", [DrafterMethod.MTP, DrafterMethod.DFLASH])
def test_sampling_is_seeded_counted_and_quiet(
    models: Models,
    mtp_target: Path,
    dflash_drafter: Path,
    method: DrafterMethod,
    capfd: pytest.CaptureFixture[str],
) -> None:
    capfd.readouterr()
    if method is DrafterMethod.MTP:
        measured = pair(mtp_target, drafter(method, draft_length=1))
    else:
        measured = pair(models.target, drafter(method, dflash_drafter, draft_length=BLOCK - 1))
    sampling = Sampling(20, temperature=1.0, seed=7, ignore_eos=True)
    _, answers = run(measured, [(PROMPTS[0], sampling)] * 2)
    assert answers[0].ids == answers[1].ids
    for answer in answers:
        assert answer.finish.acceptance is not None
        assert answer.finish.acceptance.expected_output_tokens() == 20
    assert capfd.readouterr() == ("", "")


def test_a_draft_length_that_the_checkpoint_does_not_have_is_refused(
    models: Models, mtp_target: Path, dflash_drafter: Path
) -> None:
    check = engine_factory("transformers").check
    with pytest.raises(
        EngineError, match=r"drafts exactly 1 token a step, and the pair asks for 3\. Set the draft length"
    ):
        check(pair(mtp_target, drafter(DrafterMethod.MTP)))
    with pytest.raises(EngineError, match="drafts exactly 3 tokens a step, and the pair asks for 4"):
        check(pair(models.target, drafter(DrafterMethod.DFLASH, dflash_drafter, draft_length=4)))


@pytest.mark.parametrize(
    ("left_out", "added", "words"),
    [
        ("layers.1.", {}, r"lack \d+ tensors, layers\.1\."),
        ("nothing", {"other_head.weight": torch.zeros(2)}, "tensors that MuseGlimmerAssistantModel of transformers"),
    ],
)
def test_a_dflash_drafter_with_other_tensors_than_its_class_is_refused(
    models: Models, dflash_drafter: Path, tmp_path: Path, left_out: str, added: dict[str, torch.Tensor], words: str
) -> None:
    folder = tmp_path / "drafter"
    shutil.copytree(dflash_drafter, folder)
    kept = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if left_out not in name}
    save_file({**kept, **added}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match=words):
        run(pair(models.target, drafter(DrafterMethod.DFLASH, folder)), [])


def test_a_model_without_the_method_is_refused(models: Models, mtp_target: Path, tmp_path: Path) -> None:
    check = engine_factory("transformers").check
    with pytest.raises(EngineError, match="has no multi-token-prediction layers"):
        check(pair(models.target, drafter(DrafterMethod.MTP)))
    with pytest.raises(EngineError, match="is no DFlash drafter"):
        check(pair(models.target, drafter(DrafterMethod.DFLASH, models.draft)))
    weights = {
        name: tensor
        for name, tensor in load_file(mtp_target / "model.safetensors").items()
        if not name.startswith("mtp.")
    }
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(json.loads((mtp_target / "config.json").read_text())))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="layers of the target do not load"):
        run(pair(folder, drafter(DrafterMethod.MTP, draft_length=1)), [])
