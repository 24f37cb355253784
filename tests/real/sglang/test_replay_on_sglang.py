"""n-grams replayed by SGLang's rule against SGLang: its own n-gram corpus over everything stored, and decoding."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Load, Sampling
from pytest_speedbench.engines.replay.lookup.settings import SglangTrees
from pytest_speedbench.engines.replay.lookup.sglang import SglangMemory
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import StoredOutput, read_outputs
from pytest_speedbench.splits import load_split, select
from tests.real.sglang.asking import sglang_pair

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")
STEPS = Path(__file__).with_name("corpus_steps.py")
CONTEXT = 10_000
Case = tuple[SglangTrees, Sequence[StoredOutput]]


def few_tokens(number: int) -> Case:
    """Requests over few tokens, which repeat themselves and each other, and any setting."""
    draw = random.Random(number)
    rows: dict[tuple[int, ...], StoredOutput] = {}
    vocabulary = range(draw.choice((2, 3, 5)))
    while len(rows) < 6:
        prompt = tuple(draw.choices(vocabulary, k=draw.randrange(1, 30)))
        output = draw.choices(vocabulary, k=draw.randrange(1, 40))
        if draw.random() < 0.5:
            output = (output[:7] * 9)[:50]
        rows[prompt] = StoredOutput(prompt, tuple(output), tuple(draw.choices(vocabulary, k=16)), stopped=False)
    least = draw.randrange(1, 4)
    trees = SglangTrees(draw.randrange(1, 14), draw.randrange(2, 20), least, least + draw.randrange(9))
    return trees, tuple(rows.values())


def sglang_steps(python: str, cases: Sequence[Case]) -> list[list[list[int]]]:
    """Of every case and request the accepted tokens of every step."""
    asked: list[dict[str, Any]] = [
        {
            "corpus": {
                "draft_token_num": trees.draft_length + 1,
                "max_trie_depth": trees.depth,
                "min_bfs_breadth": trees.least_breadth,
                "max_bfs_breadth": trees.most_breadth,
                "capacity": 1_000_000,
            },
            "requests": [(row.prompt_ids, row.continued, len(row.output_ids)) for row in rows],
        }
        for trees, rows in cases
    ]
    ran = subprocess.run([python, str(STEPS)], input=json.dumps(asked), capture_output=True, text=True, check=True)
    found: list[list[list[int]]] = json.loads(ran.stdout.splitlines()[-1])
    return found


def replayed_steps(case: Case) -> list[list[int]]:
    trees, rows = case
    memory = SglangMemory(trees, CONTEXT)
    found: list[list[int]] = []
    for row in rows:
        reach, place = memory.reach(row), 0
        found.append([])
        while place < len(row.output_ids) - 1:
            found[-1].append(reach(place).accepted_tokens)
            place += found[-1][-1] + 1
    return found


def test_every_step_accepts_what_its_own_corpus_accepts(sglang_python: str) -> None:
    stored = read_outputs(OUTPUTS).rows
    cases: list[Case] = [(SglangTrees(3), stored), (SglangTrees(11, most_breadth=10), stored)]
    cases += [few_tokens(number) for number in range(40)]
    for case, theirs in zip(cases, sglang_steps(sglang_python, cases), strict=True):
        assert replayed_steps(case) == theirs, case[0]


def test_a_draft_model_is_replayed_as_it_drafts_here(sglang_python: str) -> None:
    decoding = sglang_pair("draft_model:bundled:draft", sglang_python)
    asked = select(load_split("mini"), prompts=5)
    with Runner() as runner:
        decoded = runner.measure(decoding, asked, Sampling(64), Load())
        again = runner.measure(replayed(decoding, OUTPUTS), asked, Sampling(64), Load())
    for ours, theirs in zip(prompt_entries(again), prompt_entries(decoded), strict=True):
        assert (ours.output_sha256, ours.histogram) == (theirs.output_sha256, theirs.histogram)


@pytest.mark.parametrize(
    ("draft_length", "args", "prompts"),
    [(3, {}, 5), (7, {"speculative_ngram_max_bfs_breadth": 4, "speculative_ngram_max_trie_depth": 6}, 3)],
    ids=["3", "7, branching"],
)
def test_replay_counts_what_decoding_counts(
    sglang_python: str, draft_length: int, args: dict[str, EngineArg], prompts: int
) -> None:
    decoding = replace(
        sglang_pair("ngram", sglang_python, args), drafter=Drafter(DrafterMethod.NGRAM, draft_length=draft_length)
    )
    asked = select(load_split("mini"), prompts=prompts)
    with Runner() as runner:
        decoded = runner.measure(decoding, asked, Sampling(64), Load())
        again = runner.measure(replayed(decoding, OUTPUTS), asked, Sampling(64), Load())
    assert prompt_entries(again) == prompt_entries(decoded)
    assert again.engine.args["lookup"] == "SGLang 0.5.23"
