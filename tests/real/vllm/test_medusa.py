"""A trained Medusa drafter on vLLM: its heads accept what they should, and the output is the target's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench import Pair, Speedbench
from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.baselines import load_baseline
from pytest_speedbench.baselines.schema import output_sha256
from pytest_speedbench.measure.prompts import TemplateEncoder, dialogue
from pytest_speedbench.measure.run import Run
from pytest_speedbench.splits import load_split
from tests.real.vllm.conftest import vllm_pair
from tests.real.vllm.medusa import BLOCKS_FOLDER, TARGET_FOLDER, ReferenceMedusa, medusa_checkpoint

BASELINES = Path(__file__).resolve().parents[3] / "baselines"


@pytest.fixture(scope="module")
def checkpoint(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert vllm_python
    return medusa_checkpoint(tmp_path_factory.mktemp("drafter") / "medusa")


@pytest.fixture(scope="module")
def pair(checkpoint: Path, vllm_python: str) -> Pair:
    return vllm_pair("tiny-medusa", f"medusa:{checkpoint}", vllm_python)


@pytest.fixture
def run(speedbench: Speedbench, pair: Pair) -> Run:
    """Two prompts of every category, measured once for all tests."""
    return speedbench.measure("mini", pair=pair, prompts=22, concurrency=4, max_tokens=64).run


def test_the_output_is_the_targets_own(run: Run) -> None:
    stored = {entry.id: entry for entry in load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").prompts}
    assert len(run.conversations) == 22
    assert [c.question_id for c in run.conversations if output_sha256(c) != stored[c.question_id].output_sha256] == []


def test_the_records_add_up(run: Run) -> None:
    turns = [turn for conversation in run.conversations for turn in conversation.turns]
    for turn in turns:
        record = turn.acceptance
        assert record is not None
        assert record.proposed_tokens == 3 * record.verify_steps
        assert record.undrafted_steps == 0
        assert record.expected_output_tokens() == len(turn.output_ids)
    total = pool(turn.acceptance for turn in turns if turn.acceptance)
    assert total is not None
    assert isinstance(run.counters, AcceptanceRecord)
    assert (run.counters.histogram, run.counters.proposed_tokens) == (total.histogram, total.proposed_tokens)


def test_every_step_accepts_what_the_heads_draft(run: Run, checkpoint: Path) -> None:
    """Heads that read other states, or that start one token off, would still be lossless, only worse."""
    encoder, reference = TemplateEncoder.load(TARGET_FOLDER), ReferenceMedusa(checkpoint)
    prompts = {prompt.question_id: prompt for prompt in load_split("mini").prompts}
    for conversation in run.conversations:
        replies = [encoder.decode(turn.output_ids) for turn in conversation.turns]
        for number, turn in enumerate(conversation.turns):
            asked = prompts[conversation.question_id].turns[: number + 1]
            prompt_ids = encoder.encode(dialogue(asked, replies))
            assert [tokens for _, tokens in turn.emissions] == reference.emitted_tokens(prompt_ids, turn.output_ids)


def test_the_heads_have_learned_something(speedbench: Speedbench, pair: Pair) -> None:
    measurement = speedbench.measure("mini", pair=pair, prompts=22, concurrency=4, max_tokens=64)
    assert measurement.al_macro is not None
    assert measurement.al_macro > 1.3


def test_the_committed_blocks_are_small() -> None:
    assert (BLOCKS_FOLDER / "model.safetensors").stat().st_size < 600_000
