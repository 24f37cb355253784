"""The routing of every family of mixtures: all layers', or none with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_speedbench.engines.transformers.routing import expert_count, routed_experts
from pytest_speedbench.errors import EngineError
from tests.families import FAMILIES

TOP_K = 2
MIXTURES = {
    # mixture layers, experts in each
    "qwen2-moe": (4, 8),
    "qwen3-moe": (4, 8),
    "qwen3-next": (4, 4),
    "qwen3.5-moe": (4, 4),
    "mixtral": (4, 4),
    "phimoe": (4, 4),
    "gpt-oss": (4, 4),
    "gemma4-moe": (4, 4),
    "glm4-moe": (3, 8),
    "deepseek-v2": (3, 8),
    "deepseek-v3": (3, 8),
    "deepseek-v4": (4, 4),
    "dots1": (3, 8),
    "granite-moe": (4, 4),
    "granite-hybrid": (4, 4),
    "olmoe": (4, 8),
    "flex-olmo": (4, 8),
    "lfm2-moe": (3, 4),
    "jamba": (2, 4),
    "nemotron-h": (1, 4),
    "minimax": (4, 4),
    "minimax-m2": (4, 4),
    "dbrx": (2, 4),
    "ernie4.5-moe": (3, 4),
    "hunyuan-moe": (4, 4),
}


def model_of(name: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FAMILIES[name]().eval()
        for table in (module.tid2eid for module in model.modules() if hasattr(module, "tid2eid")):
            table.copy_(torch.rand(len(table), expert_count(model)).argsort(dim=1)[:, :TOP_K])
    return model


@pytest.mark.filterwarnings("ignore")  # of transformers, about kernels that are not there
@pytest.mark.parametrize(("name", "layers", "experts"), [(name, *sizes) for name, sizes in MIXTURES.items()])
@torch.inference_mode()
def test_the_experts_of_every_layer_that_compute_a_token_are_named(name: str, layers: int, experts: int) -> None:
    model, token = model_of(name), torch.tensor([[17]])
    found = routed_experts(model, (17,), (3,))
    assert found.shape == (1, layers, TOP_K)
    assert expert_count(model) == experts
    assert all(len(set(chosen)) == TOP_K for chosen in found[0].tolist())
    before = model(token, use_cache=False).logits
    weights = [
        [weight for weight in module.parameters() if len(weight) % experts == 0]
        for path, module in model.named_modules()
        if path.endswith(".experts")
    ]
    assert len(weights) == layers
    for held, chosen in zip(weights, found[0].tolist(), strict=True):
        for expert in set(range(experts)) - set(chosen):
            spoil(held, expert, experts)
    assert torch.equal(model(token, use_cache=False).logits, before)
    spoil(weights[-1], int(found[0, -1, 0]), experts)
    assert not torch.allclose(model(token, use_cache=False).logits, before)


def spoil(weights: list[torch.Tensor], expert: int, experts: int) -> None:
    for weight in weights:
        weight.view(experts, -1)[expert] = 7.0


@pytest.mark.parametrize(
    ("name", "reason"),
    [("llama4", "Llama4TextExperts is not told"), ("jetmoe", "JetMoeParallelExperts is not told")],
)
def test_what_is_not_told_to_the_experts_is_not_known(name: str, reason: str) -> None:
    for read in (lambda: routed_experts(model_of(name), (1, 2), (3,)), lambda: expert_count(model_of(name))):
        with pytest.raises(EngineError, match=f"The routing of .* is not known: {reason} which experts were chosen"):
            read()


def test_layers_that_are_passed_by_or_hidden_make_the_routing_unknown() -> None:
    model = model_of("mixtral")
    passed_by = model.model.layers[1].mlp
    passed_by.forward = lambda states: states
    with pytest.raises(EngineError, match="is not known: a forward pass does not give every token"):
        routed_experts(model, (1, 2), (3,))
    model = model_of("mixtral")
    model.model.layers[2].mlp.experts = torch.nn.ModuleList([torch.nn.Linear(32, 32) for _ in range(4)])
    with pytest.raises(EngineError, match="is not known: ModuleList is not told which experts"):
        routed_experts(model, (1, 2), (3,))


def test_layers_of_different_sizes_are_refused() -> None:
    model = model_of("mixtral")
    model.model.layers[2].mlp.experts.num_experts = 3
    with pytest.raises(EngineError, match="have 3, 4 experts"):
        expert_count(model)
    del model.model.layers[2].mlp.experts.num_experts
    with pytest.raises(EngineError, match="is not known: its experts do not say how many they are"):
        expert_count(model)
