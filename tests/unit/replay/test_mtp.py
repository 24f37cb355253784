"""Multi-token-prediction layers replayed: the same record as decoding with them, whatever was rejected on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MellumConfig

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Pair, Sampling
from pytest_speedbench.engines.replay.checks import check_pair
from pytest_speedbench.engines.replay.judges import load_judge
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import Judge, record_of
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput
from tests.unit.engines.mtp_targets import write_mtp_target
from tests.unit.engines.running import drafter, pair, run
from tests.unit.engines.tiny_models import CONTEXT, VOCAB, write_llama

LIMIT, OVERHANG = 32, 4
PROMPTS = [
    tuple(torch.randint(1, VOCAB, (4 + seed,), generator=torch.Generator().manual_seed(seed)).tolist())
    for seed in range(8)
]


def replay_pair(target: Path, layers: int) -> Pair:
    args: dict[str, EngineArg] = {"outputs": "unread.outputs", "dtype": "float32", "batch_tokens": 120}
    return Pair("mtp", "replay", str(target), Drafter(DrafterMethod.MTP, None, layers), args)


def judge_of(target: Path, layers: int) -> Judge:
    chosen = replay_pair(target, layers)
    check_pair(chosen)
    assert chosen.drafter is not None
    return load_judge(chosen, chosen.drafter, ReplayOptions.parse(chosen.engine_args), CONTEXT)


def replayed(target: Path, layers: int, outputs: list[StoredOutput]) -> list[AcceptanceRecord]:
    judge = judge_of(target, layers)
    return [record_of(stored, reach, layers, CONTEXT) for stored, reach in zip(outputs, judge(outputs), strict=True)]


def greedy_outputs(target: Path, prompts: Sequence[tuple[int, ...]]) -> list[StoredOutput]:
    _, answers = run(pair(target), [(prompt, Sampling(LIMIT + OVERHANG, ignore_eos=True)) for prompt in prompts])
    return [
        StoredOutput(prompt, answer.ids[:LIMIT], answer.ids[LIMIT:], stopped=False)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


@pytest.fixture(autouse=True)
def _several_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this model have more layers than its makers gave it; the generator and its cache are made for any number."""
    config_class: Any = MellumConfig
    checks = [check for check in config_class.__class_validators__ if check.__name__ != "validate_architecture"]
    monkeypatch.setattr(config_class, "__class_validators__", checks)


@pytest.mark.parametrize(("layers", "window"), [(1, None), (2, None), (3, None), (3, 6)])
def test_every_record_is_the_decoded_one(tmp_path: Path, layers: int, window: int | None) -> None:
    target = write_mtp_target(tmp_path / "target", layers, window)
    outputs = greedy_outputs(target, PROMPTS)
    # Second turns begin with a first turn and its output, which would have gone on otherwise.
    outputs += greedy_outputs(target, [(*first.prompt_ids, *first.output_ids, 1, 2, 3) for first in outputs[:3]])
    requests = [(stored.prompt_ids, Sampling(LIMIT, ignore_eos=True)) for stored in outputs]
    _, decoded = run(pair(target, drafter(DrafterMethod.MTP, draft_length=layers)), requests)
    assert [answer.ids for answer in decoded] == [stored.output_ids for stored in outputs]
    records = replayed(target, layers, outputs)
    known = [answer.finish.acceptance for answer in decoded]
    counted = [
        None if record is None else (record.histogram, record.proposed_tokens, record.discarded_tokens)
        for record in known
    ]
    assert [(record.histogram, record.proposed_tokens, record.discarded_tokens) for record in records] == counted
    # Something to tell right from wrong: every length of accepted drafts occurs.
    assert all(sum(record.histogram[length] for record in records) for length in range(layers + 1))


def test_a_shared_text_that_goes_on_otherwise_changes_nothing(tmp_path: Path) -> None:
    target = write_mtp_target(tmp_path / "target", 3)
    outputs: list[StoredOutput] = []
    for whole in greedy_outputs(target, PROMPTS[:4]):
        for cut in range(4, LIMIT, 3):
            first = StoredOutput(
                whole.prompt_ids, whole.output_ids[:cut], whole.output_ids[cut : cut + OVERHANG], False
            )
            further = (*first.prompt_ids, *first.output_ids, cut % 7, 1, 2)
            outputs += [first, StoredOutput(further, whole.output_ids[:4], (), False)]
    judge = judge_of(target, 3)

    def accepted(judged: list[StoredOutput]) -> list[list[int]]:
        places = [range(len(stored.output_ids) - 1) for stored in judged]
        return [
            [reach(place).accepted_tokens for place in own] for reach, own in zip(judge(judged), places, strict=True)
        ]

    together = accepted(outputs)
    assert together == [alone for stored in outputs for alone in accepted([stored])]
    # Accepted up to where the texts have parted.
    assert max(counts[-1] for counts in together[::2]) == 3


def test_another_draft_length_and_a_target_without_layers_are_refused(tmp_path: Path) -> None:
    target = write_mtp_target(tmp_path / "target", 2)
    with pytest.raises(EngineError, match="drafts exactly 2 tokens a step, and the pair asks for 3"):
        check_pair(replay_pair(target, 3))
    with pytest.raises(EngineError, match="has no multi-token-prediction layers"):
        check_pair(replay_pair(write_llama(tmp_path / "without"), 1))
