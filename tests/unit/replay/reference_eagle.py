"""An EAGLE head written a second time: every draft token from the whole text anew, one verify step after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from tests.unit.engines.reference_eagle3 import rms

HEADS, KV_HEADS, HEAD_DIM, THETA = 4, 2, 32, 10_000.0


class ReferenceEagle:
    """Target and head in fp32.

    Args:
        target: folder of a Llama target.
        head: folder of the head.
    """

    def __init__(self, target: Path, head: Path) -> None:
        self._target: Any = LlamaForCausalLM.from_pretrained(target, dtype=torch.float32)
        self._tensors = {name: tensor.float() for name, tensor in load_file(head / "model.safetensors").items()}

    @torch.inference_mode()
    def accepted(self, prompt_ids: Sequence[int], continued: Sequence[int], outputs: int, length: int) -> list[int]:
        """Drafts accepted in every verify step of an output of ``outputs`` tokens, which ``continued`` goes on."""
        text = torch.tensor([*prompt_ids, *continued])
        states = self._target.model(text[None]).last_hidden_state[0]
        steps, reached = [], len(prompt_ids) + 1
        while reached < len(prompt_ids) + outputs:
            drafts = self._draft(text[:reached], states[: reached - 1], length)
            right = [draft == int(token) for draft, token in zip(drafts, text[reached:], strict=False)]
            steps.append([*right, False].index(False))
            reached += steps[-1] + 1
        return steps

    def _draft(self, text: Tensor, states: Tensor, length: int) -> list[int]:
        w, tokens = self._tensors, text[1:].tolist()
        embedding = self._target.get_input_embeddings().weight
        drafted: list[int] = []
        for _ in range(length):
            fused = F.linear(torch.cat((embedding[tokens], states), dim=-1), w["fc.weight"], w.get("fc.bias"))
            made = self._layer(fused)[-1:]
            drafted.append(int(self._target.lm_head(made).argmax()))
            tokens.append(drafted[-1])
            states = torch.cat((states, made))
        return drafted

    def _layer(self, fused: Tensor) -> Tensor:
        w = {name.removeprefix("layers.0."): tensor for name, tensor in self._tensors.items()}
        q, k, v = (F.linear(fused, w[f"self_attn.{name}_proj.weight"]).view(len(fused), -1, HEAD_DIM) for name in "qkv")
        q, k = _turn(q), _turn(k)
        mixed = []
        for head in range(HEADS):
            shared = head // (HEADS // KV_HEADS)
            scores = q[:, head] @ k[:, shared].T / math.sqrt(HEAD_DIM)
            future = torch.ones_like(scores, dtype=torch.bool).triu(1)
            mixed.append(scores.masked_fill(future, -torch.inf).softmax(-1) @ v[:, shared])
        x = fused + F.linear(torch.cat(mixed, dim=-1), w["self_attn.o_proj.weight"])
        y = rms(x, w["post_attention_layernorm.weight"])
        gated = F.silu(F.linear(y, w["mlp.gate_proj.weight"])) * F.linear(y, w["mlp.up_proj.weight"])
        return x + F.linear(gated, w["mlp.down_proj.weight"])


def _turn(x: Tensor) -> Tensor:
    """Rotary positions by complex multiplication; ``x`` is [pairs, heads, head_dim]."""
    angles = torch.arange(len(x))[:, None] * THETA ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    turned = torch.complex(*x.chunk(2, dim=-1)) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.cat((turned.real, turned.imag), dim=-1)
