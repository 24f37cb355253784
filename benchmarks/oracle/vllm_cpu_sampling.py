"""Mends sampled speculation of vLLM 0.32 on a CPU, which reads the requests' temperatures from unwritten memory.

Its CPU form of the kernel that repeats a request's temperature for every drafted token works on a copy in integers and
drops it, so that logits are divided by whatever was in memory. Acceptance then wanders from run to run, in all prompts
together. Named as vLLM's ``worker_extension_cls``, this module is imported where the sampler runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from vllm.v1.sample import rejection_sampler

if TYPE_CHECKING:
    from torch import Tensor


def _expand(x: Tensor, cumulative: Tensor, tokens: int, replace_from: int = 0, replace_to: int = 0) -> Tensor:
    repeats = torch.diff(cumulative, prepend=cumulative.new_zeros(1))
    expanded = x.repeat_interleave(repeats, output_size=tokens)
    return torch.where(expanded == replace_from, torch.full_like(expanded, replace_to), expanded)


class MendedSampling:
    """Adds nothing to the worker; importing it is what counts."""


rejection_sampler.expand_batch_to_tokens = _expand
