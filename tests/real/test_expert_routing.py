"""Routing read from transformers and from vLLM: the routers' own choices, token by token."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from examples.expert_routing.study import prompts
from examples.tiny_moe import upcycling as moe
from examples.tiny_moe.__main__ import balance_loss
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.transformers.routing import expert_count, routed_experts
from pytest_speedbench.errors import EngineError
from pytest_speedbench.metrics.routing import Routing

ROOT = Path(__file__).parents[2]
EXPERTS, TOP_K, LAYERS, VOCAB = 8, 2, 2, 64
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "num_experts_per_tok": TOP_K,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "initializer_range": 0.3,
}
MOE_KINDS: dict[str, Callable[[], Any]] = {
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=EXPERTS)),
    "qwen3_moe": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, num_experts=EXPERTS, moe_intermediate_size=32)),
    "olmoe": lambda: OlmoeForCausalLM(OlmoeConfig(**SIZES, num_experts=EXPERTS)),
}
DEEPSEEK = DeepseekV3Config(
    **SIZES,
    first_k_dense_replace=1,
    n_routed_experts=EXPERTS,
    n_group=1,
    topk_group=1,
    moe_intermediate_size=32,
    q_lora_rank=None,
    kv_lora_rank=16,
    qk_rope_head_dim=16,
    qk_nope_head_dim=16,
    v_head_dim=16,
)
PROMPTS = ((3, 1, 4, 1, 5, 9, 2, 6), (27, 18, 28), tuple(range(40)))


def random_model(kind: str, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MOE_KINDS[kind]().eval()


@pytest.mark.parametrize("kind", MOE_KINDS)
def test_the_recorded_choice_is_the_top_of_the_router_logits(kind: str) -> None:
    model, (prompt, *_) = random_model(kind), PROMPTS
    found = routed_experts(model, prompt, (7, 8))
    with torch.no_grad():
        out = model(torch.tensor([[*prompt, 7]]), output_router_logits=True)
    logits = torch.stack(out.router_logits, dim=1)
    assert found.dtype == np.uint16
    assert found.tolist() == logits.topk(TOP_K, dim=-1).indices.tolist()
    assert expert_count(model) == EXPERTS
    assert Routing([found], EXPERTS).load().sum() == (len(prompt) + 1) * LAYERS * TOP_K


def test_routing_in_one_pass_is_that_of_decoding_token_by_token() -> None:
    model, prompt = random_model("mixtral"), PROMPTS[0]
    decoded: list[Any] = []
    routers = [module for module in model.modules() if type(module).__name__ == "MixtralTopKRouter"]
    for router in routers:
        router.register_forward_hook(lambda *call: decoded.append(call[2][2]))
    ids = model.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()
    by_step = [torch.stack(decoded[start : start + LAYERS], dim=1) for start in range(0, len(decoded), LAYERS)]
    found = routed_experts(model, prompt, ids[len(prompt) :])
    assert len(by_step) == 20
    assert found.tolist() == torch.cat(by_step).tolist()
    assert len({tuple(row) for row in found[:, 0].tolist()}) > 3


def test_reading_leaves_nothing_behind() -> None:
    model = random_model("mixtral")
    routed_experts(model, PROMPTS[0], (1,))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_dense_model_is_refused() -> None:
    model: Any = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in SIZES.items() if k != "num_experts_per_tok"}))
    for read in (lambda: routed_experts(model, (1, 2), (3,)), lambda: expert_count(model)):
        with pytest.raises(EngineError, match="LlamaForCausalLM has no routers"):
            read()


def test_what_a_router_adds_before_choosing_counts_and_dense_layers_are_left_out() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = DeepseekV3ForCausalLM(DEEPSEEK)
    model.eval()
    plain = routed_experts(model, PROMPTS[0], (1,))
    model.model.layers[1].mlp.gate.e_score_correction_bias[3] = 10.0
    biased = routed_experts(model, PROMPTS[0], (1,))
    assert plain.shape == biased.shape == (len(PROMPTS[0]), LAYERS - 1, TOP_K)
    assert (biased == 3).any(axis=-1).all()
    assert not (plain == 3).any(axis=-1).all()


def test_routers_that_leave_the_choice_to_others_are_refused() -> None:
    class LogitsTopKRouter(torch.nn.Linear):
        """A router whose mixture layer chooses from its logits."""

    class Model(torch.nn.Module):
        device = torch.device("cpu")

        def __init__(self) -> None:
            super().__init__()
            self.router = LogitsTopKRouter(1, EXPERTS)

        def forward(self, ids: torch.Tensor, use_cache: bool) -> Any:
            assert not use_cache
            return self.router(ids[0, :, None].float())

    with pytest.raises(EngineError, match="LogitsTopKRouter does not return which experts it chose"):
        routed_experts(Model(), (1, 2), (3,))


def test_random_partners_differ_from_real_prompts_in_the_message_only() -> None:
    rows = prompts(BUNDLED_FOLDER / "target", seed=0)
    assert len(rows) == 2 * (176 + 96)
    for (split, category, _, real), (*partner, ids) in zip(rows[::2], rows[1::2], strict=True):
        assert partner == [split, category, True]
        assert len(ids) == len(real)
        assert ids[:2] == real[:2]
        assert ids[-4:] == real[-4:]
        assert ids[2:-4] != real[2:-4]
        assert min(ids[2:-4]) >= 4
    assert rows == prompts(BUNDLED_FOLDER / "target", seed=0) != prompts(BUNDLED_FOLDER / "target", seed=1)


def test_the_balance_loss_is_one_when_even_and_experts_over_k_when_collapsed() -> None:
    even = 50.0 * torch.eye(moe.EXPERTS).view(-1, moe.TOP_K, moe.EXPERTS).sum(1)
    collapsed = even[:1].expand(16, -1)
    assert balance_loss(even).item() == pytest.approx(1.0)
    assert balance_loss(collapsed).item() == pytest.approx(moe.EXPERTS / moe.TOP_K)


def test_upcycled_experts_are_halves_of_the_dense_layers() -> None:
    model = moe.upcycle(BUNDLED_FOLDER / "target", seed=0).eval()
    dense: Any = LlamaForCausalLM.from_pretrained(BUNDLED_FOLDER / "target", dtype=torch.float32)
    states = torch.randn(5, dense.config.hidden_size, generator=torch.Generator().manual_seed(0))
    experts, whole = model.model.layers[2].mlp.experts, dense.model.layers[2].mlp
    every = torch.arange(moe.EXPERTS).expand(5, -1)
    with torch.no_grad():
        mean = experts(states, every, torch.full((5, moe.EXPERTS), 1 / moe.EXPERTS))
        # The mean of 32 random halves, doubled, is the whole up to sampling noise of one in the root of 32.
        assert (mean - whole(states)).norm() < 0.25 * whole(states).norm()
    assert torch.equal(model.lm_head.weight, dense.lm_head.weight)
    assert torch.equal(model.model.layers[1].self_attn.q_proj.weight, dense.model.layers[1].self_attn.q_proj.weight)


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_routes_every_token_as_transformers_does(tmp_path: Path) -> None:
    model = random_model("mixtral")
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    command = f"-m examples.expert_routing.vllm_capture --model {tmp_path}/model --prompts {tmp_path}/prompts.json"
    # A process of its own: vLLM warns while it is imported, and warnings are errors here.
    subprocess.run(
        [sys.executable, *command.split(), "--max-tokens", "12", "--out", tmp_path / "out.json"], check=True, cwd=ROOT
    )
    for prompt, request in zip(PROMPTS, json.loads((tmp_path / "out.json").read_text()), strict=True):
        assert len(request["output_ids"]) == 12
        assert [len(step) for step in request["passes"]] == [len(prompt)] + [1] * 11
        from_vllm = [token for step in request["passes"] for token in step]
        assert from_vllm == routed_experts(model, prompt, request["output_ids"]).tolist()
