"""The adapter over ``sglang.Engine``, for a process of its own: one event loop, on the main thread."""

from __future__ import annotations

import contextlib
import inspect
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, cast

import sglang
import torch
from sglang.srt.server_args import ServerArgs
from sglang.srt.utils import get_device

from pytest_speedbench.config import DrafterMethod, EngineArg, Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request, SpeculationCounters
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.requests import check_vocabulary
from pytest_speedbench.engines.sglang.answers import (
    StreamedAnswer,
    question,
    read_prompt,
    read_ranking,
    sampling_params,
)
from pytest_speedbench.engines.sglang.arguments import engine_arguments
from pytest_speedbench.engines.sglang.checks import check_drafter
from pytest_speedbench.engines.sglang.record import DraftShape, draft_shape
from pytest_speedbench.engines.sglang.repeats import Repeats
from pytest_speedbench.engines.sglang.resolved import concurrency, devices_used, resolved_arguments
from pytest_speedbench.engines.sglang.steps import StepLog
from pytest_speedbench.engines.steps import by_step
from pytest_speedbench.errors import EngineError, closest

_FORGET_S = 10.0


class SglangEngine:
    """SGLang with one pair loaded.

    Args:
        pair: what to load.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._llm: Any = None
        self._shape: DraftShape | None = None
        self._vocab_size = 0
        self._steps = StepLog()
        ngram = pair.drafter is not None and pair.drafter.method is DrafterMethod.NGRAM
        self._repeats = Repeats(self._forget) if ngram else None

    async def start(self) -> EngineInfo:
        """Load the pair. Blocks the loop, which has nothing else to do yet.

        Raises:
            EngineError: an argument that SGLang does not know, or nothing that it could run on.
        """
        arguments = engine_arguments(self._pair)
        check_drafter(self._pair)  # a hub id was perhaps fetched only now
        _check_names(arguments)
        _check_device(arguments)
        self._llm = sglang.Engine(**arguments)
        self._steps.attach(self._llm.tokenizer_manager)
        resolved = self._llm.server_args.resolved_dict()
        self._shape = draft_shape(resolved)
        return await self._info(resolved, arguments)

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Decode one request; SGLang batches those under way.

        Every emission is one step of the engine, timed when it arrived from its scheduler.

        Raises:
            EngineError: SGLang refused or aborted the request, or its counts contradict themselves.
        """
        llm = self._started()
        check_vocabulary(request, self._vocab_size)  # SGLang's scheduler would end over it
        rid = uuid.uuid4().hex  # no id may begin with another: SGLang aborts by beginnings
        steps = self._steps.open(rid)
        answer = StreamedAnswer(request, self._shape)
        asked = {
            "input_ids": list(request.prompt_ids),
            "sampling_params": sampling_params(request.sampling),
            "rid": rid,
        }
        async with contextlib.AsyncExitStack() as stack:
            if self._repeats is not None:
                await stack.enter_async_context(self._repeats.asking(request.prompt_ids))
            try:
                chunks: AsyncIterator[Mapping[str, Any]] = await llm.async_generate(**asked, stream=True)
                async for chunk in chunks:
                    for emission in by_step(answer.read(chunk), steps):
                        yield emission
            except ValueError as error:
                raise _refused(request.request_id, error) from error
            finally:
                self._steps.close(rid)
                if not answer.finished:
                    llm.tokenizer_manager.abort_request(rid)
        yield answer.finish()

    async def counters(self) -> SpeculationCounters | None:
        """``None``: SGLang counts per request, and its average over all is of one rank and reset with its cache."""
        return None

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The most probable next tokens with their log-probabilities."""
        return read_ranking(await self._ask(prompt_ids, top_logprobs_num=count), count)

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...]:
        """The prompt as SGLang's scheduler gives it back with its log-probabilities."""
        return read_prompt(await self._ask(prompt_ids, logprob_start_len=0))

    async def stop(self) -> None:
        """Stop SGLang and its processes."""
        llm, self._llm = self._llm, None
        if llm is not None:
            llm.shutdown()

    def _started(self) -> Any:
        if self._llm is None:
            raise EngineError("The sglang engine was asked before it was started.", "Start it first.")
        return self._llm

    async def _ask(self, prompt_ids: tuple[int, ...], **logprobs: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await self._started().async_generate(**question(prompt_ids, **logprobs))
        except ValueError as error:
            raise _refused("for log-probabilities", error) from error
        return answer

    async def _forget(self) -> None:
        result = await self._started().tokenizer_manager.flush_cache(timeout_s=_FORGET_S)
        if not result.success:
            raise EngineError(
                "SGLang does not drop what its n-gram drafter learnt, so that a repeat cannot be measured.",
                "Measure with a new session.",
            )

    async def _info(self, resolved: Mapping[str, Any], arguments: Mapping[str, Any]) -> EngineInfo:
        manager = self._started().tokenizer_manager
        states: list[Mapping[str, Any]] = await manager.get_internal_state()
        model = manager.model_config
        on_cpu = resolved["device"] == "cpu"
        self._vocab_size = model.vocab_size
        return EngineInfo(
            name="sglang",
            version=sglang.__version__,
            args=cast("Mapping[str, EngineArg]", resolved_arguments(resolved, arguments)),
            device=cpu_name() if on_cpu else torch.get_device_module(resolved["device"]).get_device_name(),
            device_count=1 if on_cpu else devices_used(resolved),
            driver=None if on_cpu else _driver(),
            max_concurrency=concurrency(states),
            vocab_size=model.vocab_size,
            context_tokens=model.context_len,
            eos_token_ids=tuple(sorted(model.hf_eos_token_id or ())),
        )


def _refused(what: str, error: ValueError) -> EngineError:
    return EngineError(f"SGLang refused the request {what}: {error}.", "Mend what its message names.")


def _check_names(arguments: Mapping[str, Any]) -> None:
    known = tuple(inspect.signature(ServerArgs).parameters)
    for name in arguments:
        if name not in known:
            raise EngineError(
                f"SGLang {sglang.__version__} has no engine argument {name!r}.",
                f"{closest(name, known)}Its arguments are listed in its documentation of server arguments.",
            )


def _check_device(arguments: Mapping[str, Any]) -> None:
    if arguments.get("device") is not None:
        return
    try:
        get_device()
    except RuntimeError as error:
        raise EngineError(
            f"SGLang finds nothing to run on: {error}",
            'Use a machine with an accelerator, or set the engine argument device to "cpu".',
        ) from error


def _driver() -> str | None:
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else None
