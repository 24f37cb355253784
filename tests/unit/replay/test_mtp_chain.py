"""One multi-token-prediction layer that drafts every token, against a reference that drafts one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.modeling_layers import MtpModel

from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Pair, Sampling
from pytest_speedbench.engines.replay.checks import check_pair
from pytest_speedbench.engines.replay.judges import load_judge
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput
from tests.unit.engines.mtp_targets import write_glm_target, write_mtp_target
from tests.unit.engines.running import pair, run
from tests.unit.engines.tiny_models import CONTEXT, VOCAB

LIMIT, OVERHANG = 20, 3
PROMPTS = [
    tuple(torch.randint(1, VOCAB, (4 + 2 * seed,), generator=torch.Generator().manual_seed(seed)).tolist())
    for seed in range(3)
]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_glm_target(tmp_path_factory.mktemp("glm") / "target")


@pytest.fixture(scope="module")
def outputs(target: Path) -> list[StoredOutput]:
    """Two turns of each conversation: the second begins with the first, whose continuation was another one."""
    found: list[StoredOutput] = []
    prompts = PROMPTS
    for _ in range(2):
        _, answers = run(pair(target), [(prompt, Sampling(LIMIT + OVERHANG, ignore_eos=True)) for prompt in prompts])
        found += [
            StoredOutput(prompt, answer.ids[:LIMIT], answer.ids[LIMIT:], stopped=False)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        prompts = [(*stored.prompt_ids, *stored.output_ids, 1, 2, 3) for stored in found]
    return found


def replay_pair(target: Path, draft_length: int, engine: str = "vllm", **more: EngineArg) -> Pair:
    args: dict[str, EngineArg] = {
        "outputs": "unread",
        "dtype": "float32",
        "batch_tokens": 150,
        "engine": engine,
        **more,
    }
    return Pair("mtp", "replay", str(target), Drafter(DrafterMethod.MTP, None, draft_length), args)


@torch.inference_mode()
def reference_drafts(layers: Any, hidden: Tensor, text: Tensor, length: int) -> list[int]:
    """Drafts after ``text``, all but the last token of which the target has read: the layer over everything anew."""
    tokens, layer = text[1:].tolist(), layers.layers[0]
    for _ in range(length):
        embedded = layers.embed_tokens(torch.tensor([tokens]))
        embedded[:, 0] = 0
        positions = torch.arange(len(tokens))[None]
        future = torch.full((len(tokens), len(tokens)), -torch.inf).triu(1)
        made = layer.mtp_block(
            layer.eh_proj(torch.cat((layer.enorm(embedded), layer.hnorm(hidden[None])), dim=-1)),
            attention_mask=future[None, None],
            position_embeddings=layers.rotary_emb(embedded, position_ids=positions),
            position_ids=positions,
            past_key_values=None,
        )[0, -1:]
        tokens.append(int(layers.shared_head(layer.post_norm(made)).argmax()))
        hidden = torch.cat((hidden, made))
    return tokens[len(text) - 1 :]


@pytest.mark.parametrize("draft_length", [1, 3])
def test_every_step_accepts_what_the_reference_accepts(
    target: Path, outputs: list[StoredOutput], draft_length: int
) -> None:
    model = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    layers: Any = MtpModel.from_pretrained(model)
    expected: list[list[int]] = []
    for stored in outputs:
        text = torch.tensor(stored.prompt_ids + stored.continued)
        with torch.inference_mode():
            states = model.model(text[None]).last_hidden_state[0]
        steps, reached = [], len(stored.prompt_ids) + 1
        while reached < len(stored.prompt_ids) + len(stored.output_ids):
            drafts = reference_drafts(layers, states[: reached - 1], text[:reached], draft_length)
            right = [draft == int(token) for draft, token in zip(drafts, text[reached:], strict=False)]
            steps.append([*right, False].index(False))
            reached += steps[-1] + 1
        expected.append(steps)
    chosen = replay_pair(target, draft_length)
    check_pair(chosen)
    assert chosen.drafter is not None
    reaches = load_judge(chosen, chosen.drafter, ReplayOptions.parse(chosen.engine_args), CONTEXT)(outputs)
    found = [
        record_of(stored, reach, draft_length, CONTEXT).histogram
        for stored, reach in zip(outputs, reaches, strict=True)
    ]
    assert found == [tuple(steps.count(accepted) for accepted in range(draft_length + 1)) for steps in expected]
    # Some drafts of the layer after its own are right, and some are not.
    assert {accepted for steps in expected for accepted in steps} >= set(range(min(draft_length, 2) + 1))


def test_what_other_engines_and_models_draft_is_refused(target: Path, tmp_path: Path) -> None:
    with pytest.raises(
        EngineError, match="engine sglang drafts with multi-token-prediction layers by rules of its own"
    ):
        check_pair(replay_pair(target, 1, "sglang"))
    with pytest.raises(EngineError, match="not replayed: it is a mellum with 1 multi-token-prediction layers"):
        check_pair(replay_pair(write_mtp_target(tmp_path / "mellum"), 1))
    with pytest.raises(EngineError, match="drafts exactly 1 token a step, and the pair asks for 3"):
        check_pair(replay_pair(target, 3, "transformers"))
    with pytest.raises(EngineError, match="not replayed with the attention flash_attention_2"):
        check_pair(replay_pair(target, 3, attn_implementation="flash_attention_2"))


def test_an_output_of_one_token_has_no_step(target: Path) -> None:
    chosen = replay_pair(target, 3)
    assert chosen.drafter is not None
    judge = load_judge(chosen, chosen.drafter, ReplayOptions.parse(chosen.engine_args), CONTEXT)
    stored = StoredOutput((5,), (6,), (7, 8, 9), stopped=True)
    assert record_of(stored, judge([stored])[0], 3, CONTEXT).verify_steps == 0
