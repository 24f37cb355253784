"""Replay against real vLLM: every count of every request, at several lengths and concurrencies, and its margins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.baselines.schema import PromptEntry
from pytest_speedbench.config import Drafter, EngineArg, Load, Pair, Sampling
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import Outputs, read_outputs
from pytest_speedbench.splits import load_split, select
from tests.real.vllm.conftest import SLOW, vllm_pair

BASELINES = Path(__file__).resolve().parents[3] / "baselines"
OUTPUTS = outputs_path(BASELINES, "tiny-eagle3", "mini")
PART = select(load_split("mini"), prompts=22)
SAMPLING = Sampling(64)
CONCURRENCIES = (1, 8, 64)
DRAFTERS = {
    "tiny-eagle3": "eagle3:bundled:eagle3",
    "tiny-eagle3-pruned": "eagle3:bundled:eagle3-pruned",
    "tiny-draft": "draft_model:bundled:draft",
    "tiny-ngram": "ngram",
}
LENGTHS = (1, 8)
"""Those of 3 tokens are compared where the family is decoded."""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


def pair_of(name: str, draft_length: int, python: str, **engine_args: EngineArg) -> Pair:
    pair = vllm_pair(name, DRAFTERS[name], python, **engine_args)
    return replace(pair, drafter=Drafter.parse(DRAFTERS[name], draft_length))


def replay_of(pair: Pair) -> tuple[PromptEntry, ...]:
    with Runner() as runner:
        return prompt_entries(runner.measure(replayed(pair, OUTPUTS), PART, SAMPLING, Load()))


@pytest.mark.parametrize("engine", ["vllm", pytest.param("vllm-serve", marks=SLOW)])
def test_what_it_records_is_what_the_transformers_engine_recorded(
    engine: str, runner: Runner, vllm_python: str
) -> None:
    pair = replace(pair_of("tiny-eagle3", 3, vllm_python), engine=engine)
    kept: list[Outputs] = []
    part = select(PART, prompts=11)
    runner.measure(pair, part, SAMPLING, Load(8), keep_outputs=kept.append)
    stored = {row.prompt_ids: row for row in read_outputs(OUTPUTS).rows}
    assert len(kept[0].rows) >= len(part)
    for row in kept[0].rows:
        expected = stored[row.prompt_ids]
        assert row.continued == expected.continued
        assert row.margins_nats == pytest.approx(expected.margins_nats, abs=1e-3)


@SLOW
@pytest.mark.parametrize("draft_length", LENGTHS)
@pytest.mark.parametrize("name", DRAFTERS)
def test_every_record_is_the_replayed_one(name: str, draft_length: int, runner: Runner, vllm_python: str) -> None:
    pair = pair_of(name, draft_length, vllm_python)
    expected = replay_of(pair)
    for concurrency in CONCURRENCIES:
        run = runner.measure(pair, PART, SAMPLING, Load(concurrency))
        assert prompt_entries(run) == expected, f"concurrency {concurrency}"
