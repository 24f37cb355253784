"""Requests under way and what they give: one response for every decoding iteration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace
from typing import Any

from .sampling import SamplingParams
from .script import Script, continuation
from .strict import Seen

OUTPUT_NAMES = (
    *("request_id", "prompt", "prompt_token_ids", "outputs", "context_logits", "finished", "decoding_iter", "abort"),
    *("aborted", "aresult", "result"),
)
COMPLETION_NAMES = (
    *("index", "text", "token_ids", "finish_reason", "stop_reason", "generation_logits", "logprobs", "prompt_logprobs"),
    *("cumulative_logprob", "disaggregated_params", "request_perf_metrics", "length", "logprobs_diff", "text_diff"),
    "token_ids_diff",
)
METRICS_NAMES = ("timing_metrics", "kv_cache_metrics", "speculative_decoding", "first_iter", "last_iter", "iter")
SPECULATIVE_NAMES = ("acceptance_rate", "total_accepted_draft_tokens", "total_draft_tokens")
FINISH_REASONS = ("stop", "length", "timeout", "cancelled")


class RequestOutput:
    """One request. Iterated, it is itself again and again, a response further each time."""

    def __init__(
        self,
        prompt: list[int],
        params: SamplingParams,
        draft_length: int | None,
        script: Script,
        interval: int,
        on_step: Callable[[int | None], None],
    ) -> None:
        self.prompt_token_ids = prompt
        self.finished = False
        self.decoding_iter = 0
        self.was_aborted = False
        self._params, self._draft_length, self._script = params, draft_length, script
        self._interval, self._on_step = interval, on_step
        self._pending = self._whole_output()
        self._spent = 0
        self._totals = [0, 0]
        self.completion = SimpleNamespace(
            token_ids=[], finish_reason=None, stop_reason=None, request_perf_metrics=None, index=0, text=""
        )

    @property
    def outputs(self) -> list[Any]:
        return [Seen("CompletionOutput", COMPLETION_NAMES, self.completion)]

    def abort(self) -> None:
        self.was_aborted = True

    async def aresult(self) -> RequestOutput:
        async for _ in self:
            pass
        return self

    def __aiter__(self) -> RequestOutput:
        return self

    async def __anext__(self) -> RequestOutput:
        if self.finished:
            raise StopAsyncIteration
        while True:
            await asyncio.sleep(0)
            self._iterate()
            if self.finished or self.decoding_iter == 1 or self.decoding_iter % self._interval == 0:
                return self

    def _whole_output(self) -> list[int]:
        params, script = self._params, self._script
        tokens = list(islice(continuation(self.prompt_token_ids), max(params.max_tokens, 1)))
        ends = [] if params.ignore_eos or params.end_id is None else [params.end_id, *params.stop_token_ids]
        if ends and script.length <= params.max_tokens:
            tokens = [*tokens[: script.length - 1], ends[script.ends_with]]
        return tokens

    def _iterate(self) -> None:
        step, self.decoding_iter = self.decoding_iter, self.decoding_iter + 1
        left = len(self._pending) - self._spent
        new = 1
        if step and self._draft_length is not None:
            accepted = self._script.accepted[(step - 1) % len(self._script.accepted)]
            self._on_step(accepted)
            if accepted is not None:
                new = accepted + 1
                self._totals[0] += self._draft_length
                self._totals[1] += accepted if self._script.counts_cut else min(accepted, max(left - 1, 0))
        self.completion.token_ids.extend(self._pending[self._spent : self._spent + new])
        self._spent += min(new, left)
        if self._spent == len(self._pending):
            self._finish()

    def _finish(self) -> None:
        completion, params = self.completion, self._params
        self.finished = True
        last = completion.token_ids[-1]
        ends = [] if params.ignore_eos else [params.end_id, *params.stop_token_ids]
        completion.finish_reason = self._script.finish or ("stop" if last in ends else "length")
        if last in ends[1:]:
            completion.stop_reason = last
            if not params.include_stop_str_in_output:
                completion.token_ids = completion.token_ids[:-1]
        if params.return_perf_metrics:
            proposed, accepted = self._totals if self._script.metrics else (0, 0)
            speculative = SimpleNamespace(
                total_draft_tokens=proposed,
                total_accepted_draft_tokens=accepted,
                acceptance_rate=accepted / proposed if proposed else 0.0,
            )
            seen = Seen("SpeculativeDecodingMetrics", SPECULATIVE_NAMES, speculative)
            completion.request_perf_metrics = Seen(
                "RequestPerfMetrics", METRICS_NAMES, SimpleNamespace(speculative_decoding=seen)
            )
