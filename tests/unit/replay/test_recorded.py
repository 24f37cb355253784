"""Which requests stored outputs answer, and whose drafts are drawn."""

from __future__ import annotations

import msgspec
import pytest

from pytest_speedbench.config import DrafterMethod, Sampling
from pytest_speedbench.engines.base import Request
from pytest_speedbench.engines.replay.recorded import Recorded, draft_temperature
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.outputs import Outputs, StoredOutput
from tests.unit.replay.test_outputs import HEAD

GREEDY = Sampling(64)
SAMPLED = Sampling(64, temperature=0.8, top_p=0.9, seed=1)
GREEDY_OUTPUTS = Outputs(HEAD, (StoredOutput((1, 2), (3,), (), stopped=True),))
SAMPLED_OUTPUTS = Outputs(
    msgspec.structs.replace(HEAD, temperature=0.8, top_p=0.9, seed=7),
    tuple(
        StoredOutput((1, 2), (3,), (4,), stopped=True, seed=seed, log_probabilities_nats=(-1.0, -2.0))
        for seed in (1, 2)
    ),
)


def place(outputs: Outputs, sampling: Sampling, prompt: tuple[int, ...] = (1, 2)) -> int:
    return Recorded(outputs).place(Request("r", prompt, sampling))


def test_a_prompt_that_was_sampled_twice_is_told_apart_by_its_seed() -> None:
    assert place(SAMPLED_OUTPUTS, SAMPLED) == 0
    assert place(SAMPLED_OUTPUTS, Sampling(64, temperature=0.8, top_p=0.9, seed=2)) == 1


def test_greedy_outputs_know_no_seed_and_no_top_p() -> None:
    assert place(GREEDY_OUTPUTS, Sampling(64, top_p=0.5, seed=9)) == 0


@pytest.mark.parametrize(
    ("outputs", "sampling", "words"),
    [
        (GREEDY_OUTPUTS, SAMPLED, r"with greedy decoding, and the run asks for temperature 0.8 and top_p 0.9\."),
        (SAMPLED_OUTPUTS, GREEDY, r"with temperature 0.8 and top_p 0.9, and the run asks for greedy decoding\."),
        (SAMPLED_OUTPUTS, Sampling(64, temperature=0.8), r"asks for temperature 0.8\."),
        (SAMPLED_OUTPUTS, Sampling(64, temperature=0.8, top_p=0.9, seed=3), "with the seed 7, and the run asks for an"),
        (GREEDY_OUTPUTS, Sampling(32), "an output limit of 64 tokens, and 32 are asked"),
    ],
)
def test_what_was_recorded_otherwise_is_refused(outputs: Outputs, sampling: Sampling, words: str) -> None:
    with pytest.raises(OutputsError, match=words):
        place(outputs, sampling)


@pytest.mark.parametrize("outputs", [GREEDY_OUTPUTS, SAMPLED_OUTPUTS])
def test_a_prompt_that_was_not_recorded_is_refused(outputs: Outputs) -> None:
    with pytest.raises(OutputsError, match="The prompt of request r is not among the stored outputs"):
        place(outputs, GREEDY if outputs.head.greedy else SAMPLED, (9,))


@pytest.mark.parametrize(
    ("method", "draft_sampling", "outputs", "temperature"),
    [
        (DrafterMethod.DRAFT_MODEL, "probabilistic", SAMPLED_OUTPUTS, 0.8),
        (DrafterMethod.DRAFT_MODEL, "probabilistic", GREEDY_OUTPUTS, None),
        (DrafterMethod.DRAFT_MODEL, "greedy", SAMPLED_OUTPUTS, None),
        (DrafterMethod.NGRAM, "probabilistic", SAMPLED_OUTPUTS, None),
        (DrafterMethod.EAGLE3, "probabilistic", GREEDY_OUTPUTS, None),
        (DrafterMethod.EAGLE3, "greedy", SAMPLED_OUTPUTS, None),
    ],
)
def test_drafts_are_drawn_where_the_run_is_sampled_and_the_drafter_draws(
    method: DrafterMethod, draft_sampling: str, outputs: Outputs, temperature: float | None
) -> None:
    assert draft_temperature(method, draft_sampling, outputs) == temperature


def test_drawn_drafts_need_log_probabilities() -> None:
    rows = (*SAMPLED_OUTPUTS.rows[:1], msgspec.structs.replace(SAMPLED_OUTPUTS.rows[1], log_probabilities_nats=None))
    unsure = msgspec.structs.replace(SAMPLED_OUTPUTS, rows=rows)
    with pytest.raises(OutputsError, match="do not say how probable their tokens were"):
        draft_temperature(DrafterMethod.DRAFT_MODEL, "probabilistic", unsure)
    assert draft_temperature(DrafterMethod.DRAFT_MODEL, "greedy", unsure) is None


def test_drawn_drafts_of_heads_are_refused() -> None:
    with pytest.raises(EngineError, match="of draft models only, and the drafter is eagle3"):
        draft_temperature(DrafterMethod.EAGLE3, "probabilistic", SAMPLED_OUTPUTS)
