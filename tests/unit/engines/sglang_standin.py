"""A package in the place of SGLang, with as much of it as the adapter touches, and an engine that answers to order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

STEPS = [[11], [12, 13, 14], [2]]
"""What the engine emits step by step, unless told otherwise."""
SPECULATION = {
    "spec_num_correct_drafts": 2,
    "spec_num_proposed_drafts": 6,
    "spec_verify_ct": 2,
    "spec_correct_drafts_histogram": [1, 0, 1],
}


class ServerArgs:
    """The arguments that it knows."""

    def __init__(
        self,
        *,
        model_path: str,
        device: str | None = None,
        random_seed: int | None = None,
        skip_tokenizer_init: bool = False,
        disable_radix_cache: bool = False,
        incremental_streaming_output: bool = False,
        max_running_requests: int | None = None,
        speculative_algorithm: str | None = None,
        speculative_draft_model_path: str | None = None,
        speculative_num_steps: int | None = None,
        speculative_eagle_topk: int | None = None,
        speculative_num_draft_tokens: int | None = None,
        speculative_ngram_max_bfs_breadth: int = 10,
    ) -> None:
        self._resolved = {name: value for name, value in locals().items() if name != "self"}
        self._resolved.update(device=device or "cuda", tp_size=1, dp_size=1, pp_size=1)

    def resolved_dict(self) -> dict[str, Any]:
        return dict(self._resolved)


class TokenizerManager:
    """Between the scheduler, which the tests play, and the requests."""

    def __init__(self) -> None:
        self.model_config = SimpleNamespace(vocab_size=4096, context_len=2048, hf_eos_token_id={3})
        self.aborted: list[str] = []
        self.flushed = 0
        self.flushes = True
        self.arrived: dict[str, list[int]] = {}
        self.news: dict[str, asyncio.Event] = {}

    async def _handle_batch_output(self, outputs: Any) -> None:
        for rid, ids in zip(outputs.rids, outputs.output_ids, strict=True):
            self.arrived.setdefault(rid, []).extend(ids)
            self.news[rid].set()

    async def get_internal_state(self) -> list[dict[str, Any]]:
        return [{"effective_max_running_requests_per_dp": 4}]

    async def flush_cache(self, timeout_s: float) -> SimpleNamespace:
        assert timeout_s > 0
        self.flushed += 1
        return SimpleNamespace(success=self.flushes)

    def abort_request(self, rid: str) -> None:
        self.aborted.append(rid)


class Engine:
    """Answers every request with the same steps; ``together`` of them arrive before the request is woken."""

    steps = STEPS
    together = 1
    refuses: str | None = None
    end: Mapping[str, Any] = {"type": "stop", "matched": 2}

    def __init__(self, **arguments: Any) -> None:
        self.server_args = ServerArgs(**arguments)
        self.tokenizer_manager = TokenizerManager()
        self.asked: list[dict[str, Any]] = []
        self.stopped = False

    async def async_generate(self, *, stream: bool = False, **asked: Any) -> Any:
        self.asked.append(asked)
        if self.refuses is not None:
            raise ValueError(self.refuses)
        if stream:
            return self._chunks(asked["rid"], len(asked["input_ids"]))
        prompt = [[None, token, None] for token in asked["input_ids"]]
        ranked = [[[-0.25, 7, None], [-1.5, 8, None]]]
        return {"output_ids": [7], "meta_info": {"input_token_logprobs": prompt, "output_top_logprobs": ranked}}

    async def _chunks(self, rid: str, prompt_tokens: int) -> AsyncIterator[dict[str, Any]]:
        manager = self.tokenizer_manager
        manager.news[rid] = asyncio.Event()
        seen = 0
        for start in range(0, len(self.steps), self.together):
            for ids in self.steps[start : start + self.together]:
                await manager._handle_batch_output(SimpleNamespace(rids=[rid], output_ids=[ids]))
            await manager.news[rid].wait()
            arrived = manager.arrived[rid]
            last = start + self.together >= len(self.steps)
            meta = {
                "finish_reason": self.end if last else None,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": len(arrived),
                "num_retractions": 0,
                **(SPECULATION if last and self.server_args.resolved_dict()["speculative_algorithm"] else {}),
            }
            yield {"output_ids": arrived[seen:], "meta_info": meta}
            seen = len(arrived)

    def shutdown(self) -> None:
        self.stopped = True


def install(monkeypatch: pytest.MonkeyPatch, *, accelerator: bool = True) -> None:
    """Have ``import sglang`` find this one."""

    def get_device() -> str:
        if not accelerator:
            raise RuntimeError("No accelerator is available.")
        return "cuda"

    modules: dict[str, dict[str, Any]] = {
        "sglang": {"__version__": "0.5.23", "Engine": Engine},
        "sglang.srt": {},
        "sglang.srt.server_args": {"ServerArgs": ServerArgs},
        "sglang.srt.utils": {"get_device": get_device},
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        for attribute, value in contents.items():
            setattr(module, attribute, value)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "pytest_speedbench.engines.sglang.engine", raising=False)
