"""The transformers engine on the bundled tiny family: real weights, real prompts, every drafter."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaForCausalLM

from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.config import Drafter, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Request
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.transformers.observers import Recorder
from tests.unit.engines.reference_eagle3 import Reference
from tests.unit.engines.running import Answer, pair, run
from tests.unit.engines.tiny_models import load

LIMIT = 48
DRAFTERS = ("draft_model:bundled:draft", "ngram", "eagle3:bundled:eagle3", "eagle3:bundled:eagle3-pruned")
QUESTIONS = (
    "Write a Python function `product_positive` that returns the product of all items that are positive.",
    "A baker has 7 trays of 12 rolls. She sells 30 rolls. How many are left?",
    "Tell me a short story about a lighthouse.",
    "Fasse diesen Satz zusammen: Der Zug nach Bern hat heute zwanzig Minuten Verspätung.",
    "Repeat these names: Ada, Grace, Edsger, Barbara.",
    "What is photosynthesis?",
)


@pytest.fixture(scope="module")
def prompts() -> list[tuple[int, ...]]:
    tokenizer: Any = AutoTokenizer.from_pretrained(BUNDLED_FOLDER / "target")
    return [
        tuple(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
            )
        )
        for question in QUESTIONS
    ]


def decode(
    drafter: str | None, prompts: list[tuple[int, ...]], sampling: Sampling, draft_length: int = 3
) -> tuple[EngineInfo, list[Answer]]:
    measured = pair("bundled:target", Drafter.parse(drafter, draft_length) if drafter else None)
    engine_factory("transformers").check(measured)
    return run(measured, [(prompt, sampling) for prompt in prompts])


def records(answers: list[Answer]) -> list[AcceptanceRecord]:
    return [answer.finish.acceptance for answer in answers if answer.finish.acceptance is not None]


def pooled_al(answers: list[Answer]) -> float:
    pooled = pool(records(answers))
    assert pooled is not None
    assert pooled.al is not None
    return pooled.al


@pytest.fixture(scope="module")
def alone(prompts: list[tuple[int, ...]]) -> dict[bool, list[Answer]]:
    """The target's greedy answers, by whether end-of-sequence tokens are ignored."""
    return {ignore: decode(None, prompts, Sampling(LIMIT, ignore_eos=ignore))[1] for ignore in (False, True)}


@pytest.mark.parametrize("ignore_eos", [False, True])
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_drafting_changes_no_token_and_its_counts_add_up(
    prompts: list[tuple[int, ...]], alone: dict[bool, list[Answer]], drafter: str, ignore_eos: bool
) -> None:
    info, answers = decode(drafter, prompts, Sampling(LIMIT, ignore_eos=ignore_eos))
    assert [answer.ids for answer in answers] == [answer.ids for answer in alone[ignore_eos]]
    assert [answer.finish.reason for answer in answers] == [answer.finish.reason for answer in alone[ignore_eos]]
    for answer, record in zip(answers, records(answers), strict=True):
        assert record.expected_output_tokens() == len(answer.ids)
        # Every emission but the prefill's is one decode step; the last may be cut.
        assert len(answer.emissions) - 1 == record.decode_steps
        if answer.finish.reason == "stop":
            assert answer.ids[-1] in info.eos_token_ids
        if drafter != "ngram":
            assert record.proposed_tokens == 3 * record.verify_steps
            assert record.undrafted_steps == 0
    assert pooled_al(answers) > 1.1
    if ignore_eos:
        assert {len(answer.ids) for answer in answers} == {LIMIT}


def test_the_prompts_reach_end_of_sequence_and_limit(alone: dict[bool, list[Answer]]) -> None:
    assert {answer.finish.reason for answer in alone[True]} == {"length"}
    assert "stop" in {answer.finish.reason for answer in alone[False]}


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_a_lower_limit_only_cuts(prompts: list[tuple[int, ...]], alone: dict[bool, list[Answer]], drafter: str) -> None:
    for limit in (1, 2, 7):
        _, answers = decode(drafter, prompts[:3], Sampling(limit, ignore_eos=True))
        assert [answer.ids for answer in answers] == [answer.ids[:limit] for answer in alone[True][:3]]
        for record in records(answers):
            assert record.expected_output_tokens() == limit
        if limit == 1:
            assert all(record.verify_steps == 0 and record.discarded_tokens == 0 for record in records(answers))


@pytest.mark.parametrize("drafter", [None, *DRAFTERS])
def test_sampling_repeats_with_its_seed(prompts: list[tuple[int, ...]], drafter: str | None) -> None:
    outputs = [
        [answer.ids for answer in decode(drafter, prompts[:2], Sampling(24, temperature=0.9, seed=seed))[1]]
        for seed in (3, 3, 4)
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0] != outputs[2]


def test_a_longer_draft_takes_fewer_steps(prompts: list[tuple[int, ...]]) -> None:
    steps = []
    for draft_length in (1, 3, 5):
        _, answers = decode("eagle3:bundled:eagle3", prompts, Sampling(LIMIT, ignore_eos=True), draft_length)
        steps.append(sum(record.verify_steps for record in records(answers)))
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > steps[1]


def test_damage_to_a_head_lowers_its_acceptance(prompts: list[tuple[int, ...]], tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    shutil.copy(BUNDLED_FOLDER / "eagle3" / "config.json", folder)
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: tensor + tensor.float().std() * torch.randn(tensor.shape, generator=generator)
        for name, tensor in load_file(BUNDLED_FOLDER / "eagle3" / "model.safetensors").items()
        if tensor.is_floating_point()
    }
    save_file(weights, folder / "model.safetensors")
    sampling = Sampling(LIMIT, ignore_eos=True)
    _, whole = decode("eagle3:bundled:eagle3", prompts, sampling)
    _, damaged = decode(f"eagle3:{folder}", prompts, sampling)
    assert [answer.ids for answer in damaged] == [answer.ids for answer in whole]
    assert pooled_al(damaged) < pooled_al(whole) - 0.1


@pytest.mark.parametrize("name", ["eagle3", "eagle3-pruned"])
def test_the_head_drafts_what_the_reference_drafts(
    prompts: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[tuple[torch.Tensor, list[int]]] = []
    propose = Recorder.get_candidates

    def spy(self: Recorder, input_ids: Any, **loop: Any) -> Any:
        candidates, logits = propose(self, input_ids, **loop)
        if not loop["is_first_iteration"]:
            seen.append((input_ids[0].clone(), candidates[0, input_ids.shape[1] :].tolist()))
        return candidates, logits

    monkeypatch.setattr(Recorder, "get_candidates", spy)
    info, _ = decode(f"eagle3:bundled:{name}", prompts[:2], Sampling(20, ignore_eos=True))
    tensors = {
        key: tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in load_file(BUNDLED_FOLDER / name / "model.safetensors").items()
    }
    target = load(LlamaForCausalLM, BUNDLED_FOLDER / "target").float()
    layer_ids = tuple(int(layer) for layer in str(info.args["eagle_aux_hidden_state_layer_ids"]).split(","))
    config = target.config
    reference = Reference(tensors, layer_ids, config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    assert len(seen) > 6
    for ids, drafted in seen:
        assert drafted == reference.draft(target, ids, 3)


def test_closing_a_stream_leaves_the_engine_ready(
    prompts: list[tuple[int, ...]], alone: dict[bool, list[Answer]]
) -> None:
    async def session() -> list[int]:
        engine = engine_factory("transformers").create(pair("bundled:target", Drafter.parse("eagle3:bundled:eagle3")))
        await engine.start()
        stream = engine.generate(Request("closed", prompts[0], Sampling(1000, ignore_eos=True)))
        assert isinstance(await anext(stream), Emission)
        await stream.aclose()
        tokens: list[int] = []
        async for item in engine.generate(Request("next", prompts[1], Sampling(LIMIT))):
            if isinstance(item, Emission):
                tokens += item.token_ids
        await engine.stop()
        return tokens

    assert tuple(asyncio.run(asyncio.wait_for(session(), timeout=30))) == alone[False][1].ids
