"""What the model reads is what we made: the ids of every request, and equal hashes whatever decodes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from pytest_speedbench.baselines import load_baseline
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.transformers.pair_decoder import PairDecoder
from pytest_speedbench.measure.prompts import ids_hash
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split

BASELINES = Path(__file__).resolve().parents[2] / "baselines"
MINI = load_split("mini")
TARGET_ALONE = Pair("alone", "transformers", "bundled:target", None, {"threads": 1})
PAIRS = [TARGET_ALONE, Pair("drafted", "transformers", "bundled:target", Drafter.parse("ngram"), {"threads": 1})]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: pair.name)
def seen(request: pytest.FixtureRequest) -> Iterator[tuple[Run, list[tuple[int, ...]]]]:
    """A run of the whole split, and the tensors that were handed to ``generate``, one after the other."""
    tensors: list[tuple[int, ...]] = []
    with pytest.MonkeyPatch.context() as patch, Runner() as runner:
        decode = PairDecoder.decode

        def watched(decoder: PairDecoder, *args: Any) -> Any:
            generate = decoder._target.model.generate

            def noted(prompt: torch.Tensor, **settings: Any) -> Any:
                assert bool(settings["attention_mask"].all())
                tensors.append(tuple(prompt[0].tolist()))
                return generate(prompt, **settings)

            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(decoder._target.model, "generate", noted)
                return decode(decoder, *args)

        patch.setattr(PairDecoder, "decode", watched)
        yield runner.measure(request.param, MINI, Sampling(4), Load(1)), tensors


def test_the_model_reads_the_ids_that_were_recorded(seen: tuple[Run, list[tuple[int, ...]]]) -> None:
    run, tensors = seen
    turns = [turn for conversation in run.conversations for turn in conversation.turns]
    assert len(turns) == len(tensors) > len(MINI)
    assert [turn.prompt_sha256 for turn in turns] == [ids_hash(ids) for ids in tensors]
    assert [turn.prompt_tokens for turn in turns] == [len(ids) for ids in tensors]


def test_they_are_those_of_the_chat_template(seen: tuple[Run, list[tuple[int, ...]]]) -> None:
    """As transformers makes them, one conversation at a time."""
    run, tensors = seen
    tokenizer: Any = AutoTokenizer.from_pretrained(BUNDLED_FOLDER / "target")
    expected = []
    for prompt, conversation in zip(MINI.prompts, run.conversations, strict=True):
        messages: list[dict[str, str]] = []
        for text, turn in zip(prompt.turns, conversation.turns, strict=True):
            messages.append({"role": "user", "content": text})
            ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
            expected.append(tuple(ids))
            reply = tokenizer.decode(list(turn.output_ids), skip_special_tokens=True)
            messages.append({"role": "assistant", "content": reply})
    assert tensors == expected


def test_first_turns_are_those_of_the_stored_baseline(seen: tuple[Run, list[tuple[int, ...]]]) -> None:
    stored = load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").prompts
    assert {c.question_id: c.turns[0].prompt_sha256 for c in seen[0].conversations} == {
        entry.id: entry.prompt_sha256 for entry in stored
    }
