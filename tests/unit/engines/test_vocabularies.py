"""Draft models whose embedding has more or less padding than their target's, and one tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench.config import DrafterMethod, Pair, Sampling
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.fit import check_models
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.replay.draft_model import draft_model_reaches
from pytest_speedbench.engines.replay.sampled_drafts import sampled_draft_reaches
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.engines.vllm.checks import vocabularies_of
from pytest_speedbench.engines.vocabularies import drafts_below
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput
from tests.unit.engines.running import Answer, drafter, pair, run
from tests.unit.engines.tiny_models import VOCAB as TOKENS
from tests.unit.engines.tiny_models import Models

PADDED_SIZES = [(TOKENS + 16, TOKENS), (TOKENS, TOKENS + 16), (TOKENS + 8, TOKENS + 16)]
PROMPTS = [torch.randint(1, TOKENS, (12,), generator=torch.Generator().manual_seed(seed)).tolist() for seed in range(4)]
OUTPUT_TOKENS, K = 30, 3


def padded(source: Path, folder: Path, rows: int, scale: float = 0.0) -> Path:
    """A copy with so many rows of embedding, which are its projection to the vocabulary too, and a tokenizer."""
    folder.mkdir()
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": rows}), encoding="utf-8")
    tensors = load_file(source / "model.safetensors")
    (name,) = (name for name, tensor in tensors.items() if len(tensor) == TOKENS and "embed" in name)
    padding = scale * torch.randn(rows - TOKENS, tensors[name].shape[1], generator=torch.Generator().manual_seed(5))
    save_file({**tensors, name: torch.cat((tensors[name], padding))}, folder / "model.safetensors", {"format": "pt"})
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path, **changes: Any) -> None:
    words = {f"word{number}": number for number in range(TOKENS - 1)}
    added = [{"id": TOKENS - 1, "content": "<|end|>"}]
    stated = {"model": {"type": "BPE", "vocab": words}, "added_tokens": added, **changes}
    (folder / "tokenizer.json").write_text(json.dumps(stated), encoding="utf-8")


def decoded(target: Path, draft: Path, **sampling: Any) -> list[Answer]:
    asked = pair(target, drafter(DrafterMethod.DRAFT_MODEL, draft, K))
    engine_factory("transformers").check(asked)
    return run(asked, [(prompt, Sampling(OUTPUT_TOKENS, ignore_eos=True, **sampling)) for prompt in PROMPTS])[1]


@pytest.mark.parametrize(("target_rows", "draft_rows"), PADDED_SIZES)
def test_padding_changes_neither_outputs_nor_counts_and_is_never_drafted(
    models: Models, tmp_path: Path, target_rows: int, draft_rows: int
) -> None:
    target = padded(models.target, tmp_path / "target", target_rows)
    draft = padded(models.draft, tmp_path / "draft", draft_rows, scale=3.0)  # the padding would often be chosen
    plain = decoded(models.target, models.draft)
    found = decoded(target, draft)
    assert [answer.ids for answer in found] == [answer.ids for answer in plain]
    assert [answer.finish.acceptance for answer in found] == [answer.finish.acceptance for answer in plain]
    assert sum(sum(answer.finish.acceptance.histogram[1:]) for answer in plain if answer.finish.acceptance) > 0


@pytest.fixture
def rows() -> list[StoredOutput]:
    texts = [
        tuple(torch.randint(1, TOKENS, (20,), generator=torch.Generator().manual_seed(n)).tolist()) for n in (1, 2)
    ]
    return [StoredOutput(text[:5], text[5:17], text[17:], False, None, 7, (-3.0,) * 15) for text in texts]


def test_a_replay_counts_as_without_padding(models: Models, tmp_path: Path, rows: list[StoredOutput]) -> None:
    draft = loaded(padded(models.draft, tmp_path / "draft", TOKENS + 16, scale=3.0))
    plain = loaded(models.draft)
    for other, below in ((plain, None), (draft, TOKENS)):
        found = draft_model_reaches(other, rows, K, 100, 0, below)
        drawn = sampled_draft_reaches(other, rows, K, 100, 1.0, below)
        counted = [[reach(place) for place in range(11)] for reach in found]
        accepted = torch.tensor([[reach.acceptance.tolist() for reach in drawn]])
        if below is None:
            expected = counted, accepted
    assert counted == expected[0]
    assert torch.allclose(accepted, expected[1], atol=1e-6)


def loaded(folder: Path) -> Any:
    return load_language_model(
        open_checkpoint(str(folder), download=True), Placement.choose(TransformersOptions())
    ).model


def test_padding_that_the_target_puts_out_is_no_token_of_a_smaller_draft_model(
    models: Models, tmp_path: Path, rows: list[StoredOutput]
) -> None:
    target = padded(models.target, tmp_path / "target", TOKENS + 16, scale=5.0)
    draft = padded(models.draft, tmp_path / "draft", TOKENS)
    with pytest.raises(EngineError, match=rf"token \d+, which is padding: the draft model reads ids below {TOKENS}\."):
        decoded(target, draft)
    beyond = StoredOutput(rows[0].prompt_ids, (*rows[0].output_ids, TOKENS + 1), (1, 2, 3), False)
    with pytest.raises(EngineError, match=f"put out token {TOKENS + 1}, which is padding"):
        draft_model_reaches(loaded(draft), [beyond], K, 100, 0, TOKENS)


def pair_of(tmp_path: Path, models: Models, **changes: Any) -> tuple[Checkpoint, Checkpoint]:
    target = padded(models.target, tmp_path / "target", TOKENS + 16)
    draft = padded(models.draft, tmp_path / "draft", TOKENS)
    if changes:
        write_tokenizer(draft, **changes)
    return open_checkpoint(str(target), download=True), open_checkpoint(str(draft), download=True)


def test_the_tokens_of_one_tokenizer_are_drafted(models: Models, tmp_path: Path) -> None:
    target, draft = pair_of(tmp_path, models)
    assert drafts_below(target, draft) == drafts_below(draft, target) == TOKENS
    assert drafts_below(target, target) is None


def test_unigram_vocabularies_are_compared_too(models: Models, tmp_path: Path) -> None:
    target, draft = pair_of(tmp_path, models)
    for checkpoint in (target, draft):
        write_tokenizer(checkpoint.folder, model={"vocab": [[f"word{number}", -1.0] for number in range(TOKENS - 4)]})
    assert drafts_below(target, draft) == TOKENS
    write_tokenizer(draft.folder, model={"vocab": [[f"other{number}", -1.0] for number in range(TOKENS - 4)]})
    with pytest.raises(EngineError, match="and their tokenizers differ"):
        drafts_below(target, draft)


@pytest.mark.parametrize(
    "changes",
    [
        {"added_tokens": [{"id": TOKENS - 1, "content": "<|other|>"}]},
        {"added_tokens": []},
        {"model": {"vocab": {f"word{number}": number + 1 for number in range(TOKENS - 1)}}},
    ],
)
def test_other_tokenizers_are_refused(models: Models, tmp_path: Path, changes: dict[str, Any]) -> None:
    target, draft = pair_of(tmp_path, models, **changes)
    with pytest.raises(
        EngineError, match=f"vocabulary of {TOKENS} .* one of {TOKENS + 16}, and their tokenizers differ"
    ):
        drafts_below(target, draft)


def test_a_tokenizer_with_more_tokens_than_rows_is_no_padding(models: Models, tmp_path: Path) -> None:
    target, draft = pair_of(tmp_path, models)
    for checkpoint in (target, draft):
        write_tokenizer(checkpoint.folder, added_tokens=[{"id": TOKENS, "content": "<|more|>"}])
    with pytest.raises(EngineError, match=f"and their tokenizer has ids up to {TOKENS}"):
        drafts_below(target, draft)


def test_without_a_tokenizer_nothing_is_assumed(models: Models, tmp_path: Path) -> None:
    target, draft = pair_of(tmp_path, models)
    (draft.folder / "tokenizer.json").unlink()
    with pytest.raises(EngineError, match=r"not both have a tokenizer\.json"):
        drafts_below(target, draft)


def test_engines_that_want_equal_sizes_say_who_does_not(models: Models, tmp_path: Path) -> None:
    target, draft = pair_of(tmp_path, models)
    asked = pair(target.folder, drafter(DrafterMethod.DRAFT_MODEL, draft.folder))
    with pytest.raises(EngineError, match="one tokenizer and differ in padding only") as caught:
        check_models(asked)
    assert "transformers or in a replay" in (caught.value.remedy or "")
    assert "use_heterogeneous_vocab" in (caught.value.remedy or "")
    check_models(asked, "padded")
    (draft.folder / "tokenizer.json").unlink()
    check_models(asked, "any")


@pytest.mark.parametrize(
    ("speculative_config", "found"),
    [
        (None, "equal"),
        ({}, "equal"),
        ({"use_heterogeneous_vocab": True}, "any"),
        ({"use_heterogeneous_vocab": False}, "equal"),
    ],
)
def test_vllm_takes_any_vocabulary_where_it_is_told_to(speculative_config: dict[str, Any] | None, found: str) -> None:
    args: dict[str, Any] = {} if speculative_config is None else {"speculative_config": speculative_config}
    assert vocabularies_of(Pair("pair", "vllm", "target", None, args)) == found
