"""The adapter over ``AsyncLLM``, for a process of its own: one event loop, on the main thread."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import torch
import vllm
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import (
    Emission,
    EngineInfo,
    Finish,
    FinishReason,
    Request,
    RoutedExperts,
    SpeculationCounters,
)
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.steps import accounts_for, by_step
from pytest_speedbench.engines.vllm.arguments import engine_arguments
from pytest_speedbench.engines.vllm.counters import speculation_counters
from pytest_speedbench.engines.vllm.kinds import check_resolved
from pytest_speedbench.engines.vllm.margins import LAST_TOKEN_RANKS, margins_of
from pytest_speedbench.engines.vllm.record import acceptance_record
from pytest_speedbench.engines.vllm.resolved import resolved_arguments
from pytest_speedbench.engines.vllm.steps import StepLog
from pytest_speedbench.errors import EngineError, closest


class VllmEngine:
    """vLLM with one pair loaded.

    Args:
        pair: what to load.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._llm: AsyncLLM | None = None
        self._steps = StepLog()
        self._numbers = itertools.count(1)

    async def start(self) -> EngineInfo:
        """Load the pair. Blocks the loop, which has nothing else to do yet.

        Raises:
            EngineError: an engine argument that vLLM does not know, or a drafter that it takes for another.
        """
        arguments = engine_arguments(self._pair)
        _check_names(arguments)
        self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        drafter = self._pair.drafter
        folder = open_checkpoint(drafter.model, download=True) if drafter is not None and drafter.model else None
        check_resolved(drafter, folder, self._llm.vllm_config.speculative_config)
        self._steps.attach(self._llm)
        return self._info(self._llm, arguments)

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Decode one request; vLLM batches those under way.

        Every emission is one step of the engine, timed when it arrived from the engine's core.

        Raises:
            EngineError: vLLM refused or aborted the request, or its metrics contradict themselves.
        """
        llm = self._started()
        request_id = f"{request.request_id}#{next(self._numbers)}"
        steps = self._steps.open(request_id)
        emitted: list[int] = []
        single_steps = True
        final: Any = None
        try:
            prompt: Any = {"prompt_token_ids": list(request.prompt_ids)}
            async for output in llm.generate(prompt, _sampling_params(request.sampling), request_id):
                token_ids = tuple(output.outputs[0].token_ids)
                single_steps = single_steps and accounts_for(token_ids, steps)
                for emission in by_step(token_ids, steps):
                    emitted.append(len(emission.token_ids))
                    yield emission
                final = output
        except EngineDeadError as error:
            # Without a remedy, so that a cause in the core's own output takes the place of these words.
            raise EngineError("its engine core ended while it was needed", "") from error
        finally:
            self._steps.close(request_id)
        yield self._finish(request, final, emitted, single_steps=single_steps)

    async def counters(self) -> SpeculationCounters | None:
        """Speculation since the start, all data-parallel ranks summed; ``None`` with statistics turned off."""
        return speculation_counters() if self._started().log_stats and self._pair.drafter else None

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The most probable next tokens with their log-probabilities."""
        params = SamplingParams(temperature=0.0, max_tokens=1, logprobs=count, detokenize=False)
        final: Any = None
        prompt: Any = {"prompt_token_ids": list(prompt_ids)}
        async for output in self._started().generate(prompt, params, f"next#{next(self._numbers)}"):
            final = output
        ranked = [(int(token), float(entry.logprob)) for token, entry in final.outputs[0].logprobs[0].items()]
        return tuple(sorted(ranked, key=lambda row: -row[1])[:count])

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The prompt's ids as vLLM returns them with its output."""
        final: Any = None
        prompt: Any = {"prompt_token_ids": list(prompt_ids)}
        params = SamplingParams(temperature=0.0, max_tokens=1, detokenize=False)
        async for output in self._started().generate(prompt, params, f"read#{next(self._numbers)}"):
            final = output
        return None if final.prompt_token_ids is None else tuple(final.prompt_token_ids)

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...] | None:
        """How sure the target was of every output token, from a prefill of the prompt and all but the last of them."""
        params = SamplingParams(
            temperature=0.0, max_tokens=1, prompt_logprobs=2, logprobs=LAST_TOKEN_RANKS, detokenize=False
        )
        final: Any = None
        prompt: Any = {"prompt_token_ids": [*prompt_ids, *output_ids[:-1]]}
        async for output in self._started().generate(prompt, params, f"margins#{next(self._numbers)}"):
            final = output
        entries = [*final.prompt_logprobs[len(prompt_ids) :], final.outputs[0].logprobs[0]]
        ranked = [{int(token): float(value.logprob) for token, value in entry.items()} for entry in entries]
        return margins_of(output_ids, ranked)

    async def stop(self) -> None:
        """Stop vLLM and its processes."""
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None

    def _started(self) -> AsyncLLM:
        if self._llm is None:
            raise EngineError("The vllm engine was asked before it was started.", "Start it first.")
        return self._llm

    def _finish(self, request: Request, final: Any, emitted: list[int], *, single_steps: bool) -> Finish:
        completion = final.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            raise EngineError(
                f"vLLM ended the request {request.request_id} with {completion.finish_reason!r}.",
                "Its log says why; a key-value cache too small for the load is a frequent cause.",
            )
        metrics = getattr(completion, "spec_decode_metrics", None)
        acceptance: AcceptanceRecord | None = None
        if metrics is not None:
            acceptance = acceptance_record(metrics.to_dict(), emitted, sum(emitted), single_steps=single_steps)
        return Finish(
            reason=cast("FinishReason", completion.finish_reason),
            acceptance=acceptance,
            preemptions=getattr(final.metrics, "num_preemptions", None),
            routed_experts=routed_experts(getattr(completion, "routed_experts", None)),
        )

    def _info(self, llm: AsyncLLM, arguments: Mapping[str, Any]) -> EngineInfo:
        config = llm.vllm_config
        on_cpu = current_platform.is_cpu()
        return EngineInfo(
            name="vllm",
            version=vllm.__version__,
            args=cast("Mapping[str, EngineArg]", resolved_arguments(config, arguments)),
            device=cpu_name() if on_cpu else current_platform.get_device_name(),
            device_count=1 if on_cpu else config.parallel_config.world_size_across_dp,
            driver=None if on_cpu else _driver(),
            max_concurrency=config.scheduler_config.max_num_seqs * config.parallel_config.data_parallel_size,
            vocab_size=config.model_config.get_vocab_size(),
            context_tokens=config.model_config.max_model_len,
            eos_token_ids=_eos_token_ids(config.model_config),
        )


def routed_experts(array: Any) -> RoutedExperts | None:
    """vLLM's array of expert ids, (tokens, layers, experts per token), whose width depends on the number of experts."""
    if array is None:
        return None
    tokens, layers, experts = array.shape
    return RoutedExperts((tokens, layers, experts), array.astype("<u2").tobytes())


def _sampling_params(sampling: Sampling) -> SamplingParams:
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=None if sampling.greedy else sampling.seed,
        max_tokens=sampling.max_output_tokens,
        ignore_eos=sampling.ignore_eos,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )


def _check_names(arguments: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(AsyncEngineArgs)]
    for name in arguments:
        if name not in known:
            raise EngineError(
                f"vLLM {vllm.__version__} has no engine argument {name!r}.",
                f"{closest(name, known)}Its arguments are listed in its documentation of AsyncEngineArgs.",
            )


def _eos_token_ids(model_config: Any) -> tuple[int, ...]:
    generation = model_config.try_get_generation_config() or {}
    found = generation.get("eos_token_id", getattr(model_config.hf_text_config, "eos_token_id", None))
    if found is None:
        return ()
    return tuple(found) if isinstance(found, (list, tuple)) else (int(found),)


def _driver() -> str | None:
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else None
