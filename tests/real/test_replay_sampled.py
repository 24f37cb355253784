"""Replay of sampled outputs: greedy drafts against what was decoded, drawn drafts against rejection sampling."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Load, Pair, Sampling
from pytest_speedbench.engines.base import Emission, Request
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.replay.expected import expected_acceptance
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.engines.replay.sampled_drafts import sampled_draft_reaches
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.engines.told import in_own_words
from pytest_speedbench.engines.transformers.engine import TransformersEngine
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import Outputs, StoredOutput, write_outputs
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split, select

SAMPLING = Sampling(32, temperature=1.0, top_p=0.95, seed=3)
PROMPTS = select(load_split("mini"), prompts=11)
DRAFTERS = ("tiny-ngram", "tiny-draft", "tiny-eagle3", "tiny-eagle3-pruned")


@cache
def recorded(name: str) -> tuple[Run, Outputs]:
    """A sampled run as it was decoded, and what was recorded of it."""
    kept: list[Outputs] = []
    with Runner() as runner:
        run = runner.measure(bundled_pairs()[name], PROMPTS, SAMPLING, Load(), keep_outputs=kept.append)
    return run, kept[0]


async def gone_on(pair: Pair, rows: Sequence[StoredOutput], overhang: int) -> list[StoredOutput]:
    """The outputs with the tokens that their own draws give past the end, which the last step verified."""
    engine = TransformersEngine(pair)
    await engine.start()
    found = []
    for row in rows:
        limit = len(row.output_ids) + overhang
        sampling = replace(SAMPLING, max_output_tokens=limit, ignore_eos=True, seed=row.seed or 0)
        ids: list[int] = []
        async for event in engine.generate(Request("further", row.prompt_ids, sampling)):
            if isinstance(event, Emission):
                ids += event.token_ids
        assert tuple(ids[: len(row.output_ids)]) == row.output_ids
        found.append(msgspec.structs.replace(row, overhang_ids=tuple(ids[len(row.output_ids) :])))
    await engine.stop()
    return found


def records(run: Run) -> list[AcceptanceRecord]:
    found = [turn.acceptance for c in run.conversations for turn in c.turns if turn.acceptance is not None]
    assert len(found) == sum(len(c.turns) for c in run.conversations)
    return found


def counted(found: Sequence[AcceptanceRecord]) -> list[tuple[object, ...]]:
    return [(r.histogram, r.proposed_tokens, r.undrafted_steps, r.discarded_tokens) for r in found]


@pytest.mark.parametrize("name", DRAFTERS)
def test_greedy_drafts_have_accepted_what_was_decoded(name: str, tmp_path: Path) -> None:
    run, outputs = recorded(name)
    rows = asyncio.run(gone_on(run.pair, outputs.rows, outputs.head.overhang))
    path = tmp_path / "mini.outputs"
    write_outputs(path, msgspec.structs.replace(outputs, rows=tuple(unsure(rows))))
    with Runner() as runner:
        again = runner.measure(replayed(run.pair, path), PROMPTS, SAMPLING, Load())
    assert counted(records(again)) == counted(records(run))
    assert [t.output_ids for c in again.conversations for t in c.turns] == [
        t.output_ids for c in run.conversations for t in c.turns
    ]


def unsure(rows: Sequence[StoredOutput]) -> list[StoredOutput]:
    """Without log-probabilities, which greedy drafts do not need."""
    return [msgspec.structs.replace(row, log_probabilities_nats=None) for row in rows]


@pytest.mark.parametrize("name", ["tiny-draft", "tiny-eagle3"])
def test_what_was_recorded_differs_at_most_in_the_last_step(name: str, tmp_path: Path) -> None:
    run, outputs = recorded(name)
    path = tmp_path / "mini.outputs"
    write_outputs(path, outputs)
    with Runner() as runner:
        again = runner.measure(replayed(run.pair, path), PROMPTS, SAMPLING, Load())
    for ours, theirs in zip(records(again), records(run), strict=True):
        assert ours.decode_steps == theirs.decode_steps
        assert np.abs(np.subtract(ours.histogram, theirs.histogram)).sum() in (0, 2)
    assert outputs.head.seed == SAMPLING.seed
    assert (outputs.head.temperature, outputs.head.top_p) == (1.0, 0.95)


def model(name: str) -> Any:
    checkpoint = open_checkpoint(f"bundled:{name}", download=True)
    return load_language_model(checkpoint, Placement.choose(TransformersOptions())).model


class Rejection:
    """Speculative sampling of the bundled target and draft model by the definition: whole forward passes, no engine.

    Args:
        sampling: of the target; drafts are drawn at its temperature from the whole vocabulary.
        draft_length: K.
    """

    def __init__(self, sampling: Sampling, draft_length: int) -> None:
        self.sampling = sampling
        self.draft_length = draft_length
        self.target, self.drafter = model("target"), model("draft")
        self._random = torch.Generator().manual_seed(11)

    def decode(self, prompt: tuple[int, ...]) -> tuple[StoredOutput, int]:
        """An output with K tokens past its end, and how many verify steps began before the end."""
        text, log_p, steps, limit = list(prompt), [], 0, self.sampling.max_output_tokens
        p = self._of(self.target, text, self.sampling.top_p, 1)[-1]
        text.append(self._draw(p))
        log_p.append(math.log(p[text[-1]]))
        while len(log_p) < limit + self.draft_length:
            steps += len(log_p) < limit
            for token, probability in self._step(text):
                text.append(token)
                log_p.append(math.log(probability))
        output = tuple(text[len(prompt) : len(prompt) + limit])
        beyond = tuple(text[len(prompt) + limit :])
        return StoredOutput(prompt, output, beyond, stopped=False, seed=0, log_probabilities_nats=tuple(log_p)), steps

    def _step(self, text: list[int]) -> list[tuple[int, float]]:
        """The tokens of one verify step, each with its probability under the target."""
        draft, q = list(text), []
        for _ in range(self.draft_length):
            q.append(self._of(self.drafter, draft, 1.0, 1)[-1])
            draft.append(self._draw(q[-1]))
        p = self._of(self.target, draft, self.sampling.top_p, self.draft_length + 1)
        found: list[tuple[int, float]] = []
        for place, drafted in enumerate(draft[len(text) :]):
            if torch.rand(1, generator=self._random).item() * q[place][drafted] >= p[place][drafted]:
                other = self._draw((p[place] - q[place]).clamp(min=0))
                return [*found, (other, float(p[place][other]))]
            found.append((drafted, float(p[place][drafted])))
        bonus = self._draw(p[-1])
        return [*found, (bonus, float(p[-1][bonus]))]

    def _of(self, drawing: Any, ids: Sequence[int], top_p: float, last: int) -> torch.Tensor:
        """Probabilities of the next token after each of the last few of ``ids``, [last, V]."""
        with torch.inference_mode():
            logits = drawing(input_ids=torch.tensor([list(ids)]), logits_to_keep=last).logits[0].double()
        found = torch.softmax(logits / self.sampling.temperature, dim=-1)
        ranked, order = found.sort(dim=-1, descending=True)
        ranked[ranked.cumsum(dim=-1) - ranked >= top_p] = 0.0
        kept = torch.zeros_like(found).scatter(-1, order, ranked)
        return kept / kept.sum(dim=-1, keepdim=True)

    def _draw(self, probabilities: torch.Tensor) -> int:
        return int(torch.multinomial(probabilities, 1, generator=self._random))


@pytest.fixture(scope="module")
def rejection() -> tuple[Rejection, list[tuple[StoredOutput, int]]]:
    sampler = Rejection(Sampling(20, temperature=0.8, top_p=0.9), 3)
    prompts = {row.prompt_ids for row in recorded("tiny-draft")[1].rows}
    return sampler, [sampler.decode(prompt) for prompt in sorted(prompts, key=len)[:16]]


def test_the_engine_says_how_probable_tokens_were(
    rejection: tuple[Rejection, list[tuple[StoredOutput, int]]],
) -> None:
    sampler, decoded = rejection

    async def said() -> list[tuple[float, ...]]:
        engine = TransformersEngine(in_own_words(bundled_pairs()["tiny-target"], engine_factory("transformers")))
        await engine.start()
        found = [
            await engine.log_probabilities_nats(row.prompt_ids, row.continued, sampler.sampling) for row, _ in decoded
        ]
        await engine.stop()
        return found

    for ours, (row, _) in zip(asyncio.run(said()), decoded, strict=True):
        assert ours == pytest.approx(row.log_probabilities_nats, abs=2e-3)


def test_drawn_drafts_take_the_steps_that_rejection_takes(
    rejection: tuple[Rejection, list[tuple[StoredOutput, int]]],
) -> None:
    sampler, decoded = rejection
    rows = [row for row, _ in decoded]
    reaches = sampled_draft_reaches(sampler.drafter, rows, 3, 500, sampler.sampling.temperature)
    places = sampler.sampling.max_output_tokens - 1
    expected = [expected_acceptance(reach.acceptance, [3] * places).verify_steps for reach in reaches]
    seen = sum(steps for _, steps in decoded)
    drawn = sum(record_of(row, reach, 3, 2048).decode_steps or 0 for row, reach in zip(rows, reaches, strict=True))
    mean, deviation = sum(e.mean for e in expected), math.sqrt(sum(e.deviation**2 for e in expected))
    assert abs(seen - mean) < 3.5 * deviation
    assert abs(drawn - mean) < 3.5 * deviation
    assert deviation < 0.06 * mean  # something to tell right from wrong


def test_drawn_drafts_are_replayed_and_expected(tmp_path: Path) -> None:
    run, outputs = recorded("tiny-draft")
    path = tmp_path / "mini.outputs"
    write_outputs(path, outputs)
    pair = replace(run.pair, engine_args={**run.pair.engine_args, "draft_sampling": "probabilistic"})
    with Runner() as runner:
        drawn = runner.measure(replayed(pair, path), PROMPTS, SAMPLING, Load())
        again = runner.measure(replayed(pair, path), PROMPTS, SAMPLING, Load())
        expected = runner.expected(drawn)
        shorter = runner.at_draft_lengths(drawn, [1, 3])
        expected_short = runner.expected(shorter[1])
    assert drawn.engine.args["draft_sampling"] == "probabilistic"
    assert counted(records(drawn)) == counted(records(again)) == counted(records(shorter[3]))
    for which, found in ((drawn, expected), (shorter[1], expected_short)):
        assert list(found) == [c.question_id for c in which.conversations]
        steps = sum(record.verify_steps for record in records(which))
        mean = sum(e.verify_steps.mean for e in found.values())
        assert abs(steps - mean) < 3.5 * math.sqrt(sum(e.verify_steps.deviation**2 for e in found.values()))
    with Runner() as runner:
        greedy = runner.measure(replayed(run.pair, path), PROMPTS, SAMPLING, Load())
        assert runner.expected(greedy) == {}
    assert greedy.engine.args["draft_sampling"] == "greedy"
    assert counted(records(greedy)) != counted(records(drawn))
