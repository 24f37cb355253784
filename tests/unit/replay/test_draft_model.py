"""A draft model's drafts after one forward pass, against drafts made one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.replay.draft_model import draft_model_reaches
from pytest_speedbench.engines.replay.walk import matching
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput

K = 3


@pytest.fixture(scope="module")
def model() -> Any:
    checkpoint = open_checkpoint("bundled:draft", download=True)
    return load_language_model(checkpoint, Placement.choose(TransformersOptions())).model


@torch.inference_mode()
def drafted(model: Any, text: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    """The model's greedy continuation, one token at a time."""
    for _ in range(tokens):
        text = (*text, int(model(input_ids=torch.tensor([text])).logits[0, -1].argmax()))
    return text[len(text) - tokens :]


@pytest.fixture(scope="module")
def rows(model: Any) -> list[StoredOutput]:
    """What the model would say, with every fifth token changed; the last text ends with the context."""
    found = []
    for prompt_tokens, output_tokens, beyond in ((3, 9, K), (12, 4, K), (5, 1, K), (7, 6, 1)):
        prompt = tuple(range(100, 100 + prompt_tokens))
        text = list(drafted(model, prompt, output_tokens + beyond))
        for place in range(4, len(text), 5):
            text[place] = 7
        found.append(StoredOutput(prompt, tuple(text[:output_tokens]), tuple(text[output_tokens:]), False))
    return found


@pytest.mark.parametrize(("batch_tokens", "unread"), [(1, 0), (30, 0), (1000, 0), (30, 1)])
def test_it_accepts_what_drafting_one_by_one_accepts(
    model: Any, rows: list[StoredOutput], batch_tokens: int, unread: int
) -> None:
    accepted = set()
    for stored, reach in zip(rows, draft_model_reaches(model, rows, K, batch_tokens, unread), strict=True):
        for place in range(len(stored.output_ids) - 1):
            draft = drafted(model, (stored.prompt_ids + stored.output_ids[: place + 1])[unread:], K)
            assert reach(place) == VerifyStep(K, matching(draft, stored.continued[place + 1 :]))
            accepted.add(reach(place).accepted_tokens)
    assert accepted == set(range(K + 1))


def test_texts_beyond_its_context_are_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = StoredOutput((1, 2, 3), (4, 5, 6), (7, 8), False)
    monkeypatch.setattr(model.config, "max_position_embeddings", 8)
    draft_model_reaches(model, [row], K, 100)
    monkeypatch.setattr(model.config, "max_position_embeddings", 7)
    with pytest.raises(
        OutputsError, match="reads at most 7 tokens, and a stored prompt with its output and a draft has 8"
    ):
        draft_model_reaches(model, [row], K, 100)
