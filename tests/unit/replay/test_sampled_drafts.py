"""How probable a draft model held stored tokens, batched and at the right places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.replay.expected import Floats
from pytest_speedbench.engines.replay.sampled_drafts import sampled_draft_reaches
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput

TEMPERATURE = 0.7
K = 3


@pytest.fixture(scope="module")
def model() -> Any:
    checkpoint = open_checkpoint("bundled:draft", download=True)
    return load_language_model(checkpoint, Placement.choose(TransformersOptions())).model


def log_probabilities(model: Any, prompt: tuple[int, ...], continued: tuple[int, ...]) -> list[float]:
    """Of every token, one text and one token at a time."""
    found = []
    for place, token in enumerate(continued):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *continued[:place]]])).logits[0, -1]
        found.append(float(torch.log_softmax(logits.double() / TEMPERATURE, dim=-1)[token]))
    return found


@pytest.fixture(scope="module")
def rows(model: Any) -> list[StoredOutput]:
    """Any tokens of several lengths, whose target held them a little more or less probable than the draft model."""
    random = np.random.default_rng(3)
    found = []
    for prompt_tokens, output_tokens in ((3, 1), (9, 7), (4, 12), (20, 5)):
        ids = tuple(random.integers(5, 500, prompt_tokens + output_tokens + K).tolist())
        prompt, continued = ids[:prompt_tokens], ids[prompt_tokens:]
        surer = random.normal(0, 1, len(continued))
        log_p = tuple(np.minimum(log_probabilities(model, prompt, continued) + surer, 0).tolist())
        output, beyond = continued[:output_tokens], continued[output_tokens:]
        found.append(StoredOutput(prompt, output, beyond, False, None, prompt_tokens, log_p))
    return found


def reference(model: Any, row: StoredOutput) -> Floats:
    assert row.log_probabilities_nats is not None
    log_q = log_probabilities(model, row.prompt_ids, row.continued)
    accepted = [min(1.0, float(np.exp(q - p))) for q, p in zip(log_q, row.log_probabilities_nats, strict=True)]
    places = len(row.output_ids) - 1
    return np.array([accepted[place + 1 : place + 1 + K] for place in range(places)]).reshape(places, K)


@pytest.mark.parametrize("batch_tokens", [1, 40, 8192])
def test_a_token_is_accepted_by_q_over_p(model: Any, rows: list[StoredOutput], batch_tokens: int) -> None:
    reaches = sampled_draft_reaches(model, rows, K, batch_tokens, TEMPERATURE)
    for reach, row in zip(reaches, rows, strict=True):
        assert reach.acceptance == pytest.approx(reference(model, row), abs=1e-4)
    every = np.concatenate([reach.acceptance.ravel() for reach in reaches])
    assert (every == 1).any()
    assert (every < 0.9).any()


def test_the_draw_is_the_same_however_outputs_are_batched(model: Any, rows: list[StoredOutput]) -> None:
    one, other = (sampled_draft_reaches(model, given, K, 8192, TEMPERATURE) for given in (rows, rows[::-1]))
    for ours, theirs in zip(one, other[::-1], strict=True):
        assert np.array_equal(ours.draws, theirs.draws)


def test_outputs_without_probabilities_are_refused(model: Any) -> None:
    with pytest.raises(OutputsError, match="do not say how probable"):
        sampled_draft_reaches(model, [StoredOutput((1,), (2, 3), (4,), False, seed=1)], 1, 100, 1.0)
