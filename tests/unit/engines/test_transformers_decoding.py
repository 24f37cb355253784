"""Decoding with every drafter on random tiny models: outputs, counts, ends, seeds, cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.config import Drafter, DrafterMethod, Sampling
from pytest_speedbench.engines.base import Emission, Finish, Request
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.transformers.observers import Recorder
from pytest_speedbench.errors import EngineError
from tests.unit.engines.running import drafter, pair, run
from tests.unit.engines.tiny_models import CONTEXT, EOS, VOCAB, Models, load

LIMIT = 40
PROMPTS = [torch.randint(1, VOCAB, (12,), generator=torch.Generator().manual_seed(seed)).tolist() for seed in range(6)]
DRAFTERS: dict[str, Callable[[Models], Drafter]] = {
    "draft_model": lambda models: drafter(DrafterMethod.DRAFT_MODEL, models.draft),
    "ngram": lambda _: drafter(DrafterMethod.NGRAM),
    "eagle3": lambda models: drafter(DrafterMethod.EAGLE3, models.head),
    "eagle3-pruned": lambda models: drafter(DrafterMethod.EAGLE3, models.pruned_head),
}
every_drafter = pytest.mark.parametrize("make", DRAFTERS.values(), ids=DRAFTERS.keys())


@pytest.fixture(scope="module")
def continuations(models: Models) -> list[list[int]]:
    """The target's own greedy text, well past every end, from plain forward passes without any cache."""
    target = load(LlamaForCausalLM, models.target)
    texts = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = torch.tensor([prompt])
            for _ in range(LIMIT + 8):
                ids = torch.cat((ids, target(ids, use_cache=False).logits[:, -1:].argmax(-1)), dim=1)
            texts.append(ids[0, len(prompt) :].tolist())
    return texts


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[list[int], list[int]]]]:
    """Per request, every draft with the tokens it came after."""
    seen: list[list[tuple[list[int], list[int]]]] = []
    propose = Recorder.get_candidates

    def spy(self: Recorder, input_ids: Any, **kwargs: Any) -> Any:
        candidates, logits = propose(self, input_ids, **kwargs)
        if kwargs["is_first_iteration"]:
            seen.append([])
            assert candidates.shape == input_ids.shape, "the prefill carries no draft"
        else:
            seen[-1].append((input_ids[0].tolist(), candidates[0, input_ids.shape[1] :].tolist()))
        return candidates, logits

    monkeypatch.setattr(Recorder, "get_candidates", spy)
    return seen


def up_to_eos(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens


def test_the_prompts_reach_both_ends(continuations: list[list[int]]) -> None:
    stops = [EOS in text[:LIMIT] for text in continuations]
    assert any(stops)
    assert not all(stops)


@pytest.mark.parametrize("ignore_eos", [False, True])
@pytest.mark.parametrize("make", [None, *DRAFTERS.values()], ids=["target", *DRAFTERS])
def test_greedy_output_is_the_targets_own(
    models: Models, continuations: list[list[int]], make: Callable[[Models], Drafter] | None, ignore_eos: bool
) -> None:
    sampling = Sampling(LIMIT, ignore_eos=ignore_eos)
    _, answers = run(pair(models.target, make(models) if make else None), [(prompt, sampling) for prompt in PROMPTS])
    for answer, text in zip(answers, continuations, strict=True):
        expected = text[:LIMIT] if ignore_eos else up_to_eos(text[:LIMIT])
        assert list(answer.ids) == expected
        assert answer.finish.reason == ("stop" if EOS in expected and not ignore_eos else "length")
        assert (answer.finish.acceptance is None) == (make is None)


@every_drafter
def test_every_step_counts_what_verification_accepts_even_beyond_the_end(
    models: Models,
    continuations: list[list[int]],
    drafts: list[list[tuple[list[int], list[int]]]],
    make: Callable[[Models], Drafter],
) -> None:
    _, answers = run(pair(models.target, make(models)), [(prompt, Sampling(LIMIT)) for prompt in PROMPTS])
    for prompt, text, answer, steps in zip(PROMPTS, continuations, answers, drafts, strict=True):
        expected, verified = [], 1
        for before, draft in steps:
            verified = len(before) - len(prompt)
            accepted = 0
            while accepted < len(draft) and draft[accepted] == text[verified + accepted]:
                accepted += 1
            expected.append(VerifyStep(len(draft), accepted))
            verified += accepted + 1
        record = answer.finish.acceptance
        assert record is not None
        assert record.histogram == type(record).from_steps(expected, draft_length=3).histogram
        assert record.proposed_tokens == sum(step.proposed_tokens for step in expected)
        assert record.undrafted_steps == sum(step.proposed_tokens == 0 for step in expected)
        assert record.discarded_tokens == verified - len(answer.ids)
        assert record.expected_output_tokens() == len(answer.ids)
        assert [len(emission.token_ids) for emission in answer.emissions[:-1]] == [
            1,
            *(step.accepted_tokens + 1 for step in expected[:-1]),
        ]


def test_some_requests_discard_and_some_accept_whole_drafts(models: Models) -> None:
    measured = pair(models.target, drafter(DrafterMethod.DRAFT_MODEL, models.draft))
    _, answers = run(measured, [(prompt, Sampling(limit)) for prompt in PROMPTS for limit in (LIMIT, LIMIT + 1)])
    records = [answer.finish.acceptance for answer in answers if answer.finish.acceptance is not None]
    assert sum(record.histogram[3] for record in records) > 0
    assert any(record.discarded_tokens for record in records)


@every_drafter
def test_model_drafts_are_whole_to_the_end(
    models: Models, drafts: list[list[tuple[list[int], list[int]]]], make: Callable[[Models], Drafter]
) -> None:
    asked = make(models)
    run(pair(models.target, asked), [(prompt, Sampling(LIMIT)) for prompt in PROMPTS])
    lengths = {len(draft) for steps in drafts for _, draft in steps}
    assert lengths == ({0, 1, 2, 3} if asked.method is DrafterMethod.NGRAM else {3})


def test_the_draft_model_drafts_its_own_greedy_text(
    models: Models, drafts: list[list[tuple[list[int], list[int]]]]
) -> None:
    measured = pair(models.target, drafter(DrafterMethod.DRAFT_MODEL, models.draft, draft_length=4))
    run(measured, [(prompt, Sampling(LIMIT)) for prompt in PROMPTS[:3]])
    model = load(LlamaForCausalLM, models.draft)
    with torch.inference_mode():
        for before, draft in (step for steps in drafts for step in steps):
            ids = torch.tensor([before])
            for _ in range(4):
                ids = torch.cat((ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)), dim=1)
            assert draft == ids[0, len(before) :].tolist()


def looked_up(text: list[int], longest: int, draft_length: int) -> list[int]:
    for size in range(longest, 0, -1):
        for start in range(len(text) - size):
            if text[start : start + size] == text[-size:]:
                return text[start + size : start + size + draft_length]
    return []


@pytest.mark.parametrize("longest", [1, 3])
def test_ngram_drafts_follow_the_longest_and_earliest_match(
    models: Models, drafts: list[list[tuple[list[int], list[int]]]], longest: int
) -> None:
    measured = pair(models.target, drafter(DrafterMethod.NGRAM), prompt_lookup_max=longest)
    info, _ = run(measured, [(prompt, Sampling(LIMIT, ignore_eos=True)) for prompt in PROMPTS])
    assert info.args["prompt_lookup_max"] == longest
    for before, draft in (step for steps in drafts for step in steps):
        assert draft == looked_up(before, longest, 3)


@every_drafter
def test_a_sequence_may_fill_the_context_to_the_last_token(models: Models, make: Callable[[Models], Drafter]) -> None:
    prompt = PROMPTS[0]
    limit = CONTEXT - len(prompt)
    _, [alone] = run(pair(models.target), [(prompt, Sampling(limit, ignore_eos=True))])
    _, [answer] = run(pair(models.target, make(models)), [(prompt, Sampling(limit, ignore_eos=True))])
    assert answer.ids == alone.ids
    assert len(answer.ids) == limit


def test_what_does_not_fit_the_model_is_refused_before_decoding(models: Models) -> None:
    for prompt, sampling, words in [
        (PROMPTS[0], Sampling(CONTEXT - 11), f"12 prompt and {CONTEXT - 11} output tokens.*room for {CONTEXT}"),
        ([1, VOCAB], Sampling(4), f"vocabulary of {VOCAB}"),
        ([], Sampling(4), "0 prompt tokens"),
    ]:
        with pytest.raises(EngineError, match=words):
            run(pair(models.target), [(prompt, sampling)])


@pytest.mark.parametrize("make", [None, *DRAFTERS.values()], ids=["target", *DRAFTERS])
def test_a_seed_fixes_the_draws_and_leaves_the_process_alone(
    models: Models, make: Callable[[Models], Drafter] | None
) -> None:
    measured = pair(models.target, make(models) if make else None)

    def sampled(seed: int) -> Sampling:
        return Sampling(24, temperature=1.0, top_p=0.95, seed=seed, ignore_eos=True)

    state = torch.get_rng_state()
    _, answers = run(measured, [(PROMPTS[0], sampled(seed)) for seed in (1, 2, 1)])
    assert torch.equal(torch.get_rng_state(), state)
    assert answers[0].ids == answers[2].ids
    assert answers[0].ids != answers[1].ids
    for answer in answers:
        record = answer.finish.acceptance
        assert len(answer.ids) == 24
        assert record is None or record.expected_output_tokens() == 24


@every_drafter
def test_sampled_second_tokens_follow_the_targets_distribution(
    models: Models, make: Callable[[Models], Drafter]
) -> None:
    """The first token is the prefill's, the second a verify step's: it must be drawn as if there was no draft."""
    prompt, draws = PROMPTS[1], 400
    target = load(LlamaForCausalLM, models.target)
    with torch.inference_mode():
        first = target(torch.tensor([prompt])).logits[0, -1].div(2.0).softmax(-1)
        joined = torch.tensor([[*prompt, token] for token in range(VOCAB)])
        second = target(joined).logits[:, -1].div(2.0).softmax(-1)
    expected = (first[:, None] * second).sum(0)
    requests = [(prompt, Sampling(2, temperature=2.0, seed=seed, ignore_eos=True)) for seed in range(draws)]
    _, answers = run(pair(models.target, make(models)), requests)
    counts = torch.bincount(torch.tensor([answer.ids[1] for answer in answers]), minlength=VOCAB)
    common = expected * draws >= 5
    observed = torch.cat((counts[common], counts[~common].sum()[None]))
    wanted = torch.cat((expected[common], expected[~common].sum()[None])) * draws
    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    freedom = len(wanted) - 1
    assert freedom >= 5
    # About the 1 - 1e-5 quantile of chi-squared; the draws are seeded, so this passes or fails for good.
    assert statistic < freedom + 4.3 * (2 * freedom) ** 0.5 + 6


def test_closing_early_stops_the_decoding_and_frees_the_engine(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = pair(models.target, drafter(DrafterMethod.EAGLE3, models.head))
    steps = 0
    verified = Recorder.update_candidate_strategy

    def count(self: Recorder, *args: Any) -> None:
        nonlocal steps
        steps += 1
        verified(self, *args)

    monkeypatch.setattr(Recorder, "update_candidate_strategy", count)

    async def session() -> list[Emission | Finish]:
        engine = engine_factory("transformers").create(measured)
        await engine.start()
        stream = engine.generate(Request("left", tuple(PROMPTS[0]), Sampling(140, ignore_eos=True)))
        async for item in stream:
            assert isinstance(item, Emission)
            break
        await stream.aclose()
        assert 0 < steps < 60
        rest = [item async for item in engine.generate(Request("next", tuple(PROMPTS[1]), Sampling(5)))]
        await engine.stop()
        await engine.stop()
        return rest

    others = set(threading.enumerate())
    items = asyncio.run(session())
    assert isinstance(items[-1], Finish)
    left = set(threading.enumerate()) - others
    assert not [thread for thread in left if thread.name.startswith("speedbench-transformers")]


def test_emissions_are_timed_in_order(models: Models) -> None:
    _, [answer] = run(pair(models.target, drafter(DrafterMethod.NGRAM)), [(PROMPTS[0], Sampling(LIMIT))])
    times = [emission.at_s for emission in answer.emissions]
    assert times == sorted(times)
    assert all(emission.token_ids for emission in answer.emissions)


def test_a_failure_in_the_worker_becomes_an_engine_error(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the drafter broke")

    monkeypatch.setattr(Recorder, "get_candidates", fail)
    with pytest.raises(EngineError, match=r"request-0: RuntimeError: the drafter broke"):
        run(pair(models.target, drafter(DrafterMethod.NGRAM)), [(PROMPTS[0], Sampling(4))])


def test_counts_that_contradict_the_output_are_not_handed_over(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = Recorder.update_candidate_strategy

    def miscount(self: Recorder, input_ids: Any, scores: Any, num_matches: int) -> None:
        verified(self, input_ids, scores, min(3, num_matches + 1))

    monkeypatch.setattr(Recorder, "update_candidate_strategy", miscount)
    with pytest.raises(EngineError, match="contradict each other"):
        run(pair(models.target, drafter(DrafterMethod.EAGLE3, models.head)), [(PROMPTS[0], Sampling(LIMIT))])


def test_what_runs_is_recorded(models: Models) -> None:
    info, _ = run(pair(models.target, drafter(DrafterMethod.EAGLE3, models.pruned_head), device="cpu"), [])
    assert (info.name, info.vocab_size, info.context_tokens, info.eos_token_ids) == (
        "transformers",
        VOCAB,
        CONTEXT,
        (EOS,),
    )
    assert (info.max_concurrency, info.device_count, info.driver) == (1, 1, None)
    assert info.device
    assert info.args == {
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "attn_implementation": "sdpa",
        "eagle_aux_hidden_state_layer_ids": "1,3,4",
        "draft_vocab_size": 20,
    }


def test_nothing_is_printed(models: Models, capfd: pytest.CaptureFixture[str]) -> None:
    for make in DRAFTERS.values():
        run(pair(models.target, make(models)), [(PROMPTS[0], Sampling(8)), (PROMPTS[0], Sampling(8, temperature=0.7))])
    assert capfd.readouterr() == ("", "")
