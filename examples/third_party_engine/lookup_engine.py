"""An engine of one's own: any transformers model, its drafts looked up in the text so far. See docs/engines.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import Emission, Engine, EngineInfo, Finish, Request
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import EngineError


def check(pair: Pair) -> None:
    if pair.drafter is not None and pair.drafter.method.value != "ngram":
        raise EngineError(f"The engine lookup has no drafter {pair.drafter}.", "Use ngram, or none.")


def create(pair: Pair) -> Engine:
    return LookupEngine(pair.model, pair.drafter.draft_length if pair.drafter else 0)


class LookupEngine:
    def __init__(self, model: str, draft_length: int) -> None:
        self.folder, self.length = open_checkpoint(model, download=True).folder, draft_length

    async def start(self) -> EngineInfo:
        self.model: Any = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        self.eos, self.words = self.model.config.eos_token_id, self.model.config.vocab_size
        self.context, args = self.model.config.max_position_embeddings, {"dtype": "float32"}
        return EngineInfo("lookup", "1.0", args, "CPU", 1, None, None, self.words, self.context, (self.eos,))

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        ids, sampling, steps, discarded = list(request.prompt_ids), request.sampling, [], 0
        end, random = len(ids) + sampling.max_output_tokens, torch.Generator().manual_seed(sampling.seed)
        if not ids or end > self.context or max(ids) >= self.words or sampling.top_p < 1:
            raise EngineError(f"The request {request.request_id} does not fit the engine lookup.", "Ask otherwise.")
        while len(ids) < end and (sampling.ignore_eos or self.eos not in ids[len(request.prompt_ids) :]):
            prefill = len(ids) == len(request.prompt_ids)
            draft = [] if prefill else lookup(ids)[: min(self.length, self.context - len(ids) - 1)]
            logits = self.model(torch.tensor([ids + draft])).logits[0, len(ids) - 1 :].detach()
            tokens = [pick(row, sampling, random) for row in logits]  # a draft counts if it was drawn
            accepted = next((n for n, token in enumerate(draft) if token != tokens[n]), len(draft))
            kept = tokens[: accepted + 1][: end - len(ids)]
            if self.eos in kept and not sampling.ignore_eos:
                kept = kept[: kept.index(self.eos) + 1]
            discarded += accepted + 1 - len(kept)
            steps += [] if prefill else [VerifyStep(len(draft), accepted)]
            ids += kept
            yield Emission(tuple(kept), time.perf_counter())
            await asyncio.sleep(0)  # others have their turn
        record = AcceptanceRecord.from_steps(steps, draft_length=max(1, self.length), discarded_tokens=discarded)
        ended = not sampling.ignore_eos and ids[-1] == self.eos
        yield Finish("stop" if ended else "length", record if self.length else None)

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        ranked = self.model(torch.tensor([prompt_ids])).logits[0, -1].log_softmax(-1).detach().topk(count)
        return tuple(zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True))

    async def stop(self) -> None:
        self.model = None


def lookup(ids: list[int]) -> list[int]:
    place = next((n for n in range(len(ids) - 2, -1, -1) if ids[n] == ids[-1]), len(ids))
    return ids[place + 1 :]


def pick(logits: torch.Tensor, sampling: Sampling, random: torch.Generator) -> int:
    if sampling.greedy:
        return int(logits.argmax())
    return int(torch.multinomial((logits / sampling.temperature).softmax(-1), 1, generator=random))
