"""The adapter over ``LLM.generate_async``, for a process of its own: one event loop, on the main thread."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import tensorrt_llm
from tensorrt_llm import LLM, SamplingParams, llmapi

from pytest_speedbench.config import EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import (
    Emission,
    EngineInfo,
    Finish,
    FinishReason,
    Request,
    SpeculationCounters,
)
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.counts import count
from pytest_speedbench.engines.requests import check_vocabulary
from pytest_speedbench.engines.trtllm.arguments import counts_iterations, engine_arguments
from pytest_speedbench.engines.trtllm.counters import IterationLog
from pytest_speedbench.engines.trtllm.gpu import accelerator, gpus_needed
from pytest_speedbench.engines.trtllm.greedy import ALL_SAMPLING, check_sampling, greedy_only
from pytest_speedbench.engines.trtllm.record import Drafts, Response, Totals, acceptance_record, contradiction
from pytest_speedbench.engines.trtllm.resolved import resolved_arguments
from pytest_speedbench.engines.trtllm.speculation import (
    CONFIGS,
    DRAFT_MODEL_FIELD,
    PYTORCH,
    backend,
    decoding_fields,
    one_model,
    tree_tokens,
    varies,
)
from pytest_speedbench.engines.trtllm.versions import TENSORRT_LLM
from pytest_speedbench.errors import EngineError, closest


class TrtllmEngine:
    """TensorRT-LLM with one pair loaded.

    Args:
        pair: what to load.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._llm: Any = None
        self._log: IterationLog | None = None
        self._eos: tuple[int, ...] = ()
        self._greedy_only = False
        self._limits = (0, 0)

    async def start(self) -> EngineInfo:
        """Load the pair. Blocks the loop, which has nothing else to do yet.

        Raises:
            EngineError: an argument that TensorRT-LLM does not know, or no GPU.
        """
        device = accelerator()
        version = TENSORRT_LLM.version(None)
        arguments = engine_arguments(self._pair, version)
        pytorch = backend(self._pair) == PYTORCH
        _check_names(arguments, _argument_class(pytorch=pytorch))
        target = open_checkpoint(self._pair.model, download=True)
        self._eos = target.end_token_ids
        extra: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        if self._pair.drafter is not None:
            fields = decoding_fields(self._pair, version)
            names = CONFIGS[self._pair.drafter.method].class_names
            extra["speculative_config"] = self._decoding_config(names, fields)
        self._greedy_only = greedy_only(self._pair, version, fields)
        self._llm = _llm_class(pytorch=pytorch)(**arguments, **extra)
        if counts_iterations(self._pair, version):
            self._log = IterationLog(self._llm)
        return self._info(target, arguments, device, pytorch=pytorch)

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Decode one request; TensorRT-LLM batches those under way.

        Every emission is one response of the engine, timed when it arrived: one iteration's tokens, unless
        ``stream_interval`` says otherwise.

        Raises:
            EngineError: TensorRT-LLM ended the request otherwise than by its end or limit, cannot sample with this
                drafter, or its figures contradict themselves.
        """
        output = self._submitted(request)
        responses: list[Response] = []
        seen = 0
        try:
            async for _ in output:
                at_s = time.perf_counter()
                tokens = tuple(output.outputs[0].token_ids[seen:])
                seen += len(tokens)
                responses.append(Response(output.decoding_iter, len(tokens)))
                if tokens:
                    yield Emission(tokens, at_s)
        finally:
            if not output.finished:
                output.abort()
        yield self._finish(request, output.outputs[0], responses)

    async def counters(self) -> SpeculationCounters | None:
        """Speculation since the start from the iteration statistics; ``None`` if they are off or say nothing of it.

        Raises:
            EngineError: they cannot be read.
        """
        return await self._log.counters() if self._log is not None else None

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The prompt that TensorRT-LLM's own input processing handed to its executor."""
        sampling = Sampling(max_output_tokens=1)
        output = self._submitted(Request("prompt", prompt_ids, sampling))
        await output.aresult()
        return tuple(output.prompt_token_ids)

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:  # noqa: ARG002
        """None: these versions rank one token at most, and none where a drafter is inside the target's model."""
        return ()

    async def stop(self) -> None:
        """Stop TensorRT-LLM and its processes."""
        if self._log is not None:
            await self._log.stop()
            self._log = None
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None

    def _submitted(self, request: Request) -> Any:
        if self._llm is None:
            raise EngineError("The trtllm engine was asked before it was started.", "Start it first.")
        if self._greedy_only:
            check_sampling(request.sampling, TENSORRT_LLM.version(None))
        self._check_prompt(request)
        params = _sampling_params(request.sampling, self._eos)
        return self._llm.generate_async(list(request.prompt_ids), sampling_params=params, streaming=True)

    def _check_prompt(self, request: Request) -> None:
        """Not every version refuses such prompts before they reach the GPU."""
        size, (most, vocab_size) = len(request.prompt_ids), self._limits
        if not 0 < size < most:
            raise EngineError(
                f"The request {request.request_id} has a prompt of {size} tokens, and TensorRT-LLM takes "
                f"1 to {most - 1}.",
                "Leave such prompts out; the engine argument max_seq_len says how long prompt and output may be.",
            )
        check_vocabulary(request, vocab_size)

    def _decoding_config(self, names: tuple[str, ...], fields: dict[str, Any]) -> Any:
        kind = next(getattr(llmapi, name) for name in names if hasattr(llmapi, name))
        if one_model(self._pair) and ALL_SAMPLING in kind.model_fields:
            fields.setdefault(ALL_SAMPLING, True)
        _check_names(fields, kind, "speculative_config.")
        return kind(**fields)

    def _finish(self, request: Request, completion: Any, responses: list[Response]) -> Finish:
        if completion.finish_reason not in ("stop", "length"):
            raise EngineError(
                f"TensorRT-LLM ended the request {request.request_id} with {completion.finish_reason!r}.",
                "Its log says why; a key-value cache too small for the load is a frequent cause.",
            )
        acceptance = None
        if self._pair.drafter is not None:
            drafts = Drafts(self._pair.drafter.draft_length, tree_tokens(self._pair), varies(self._pair))
            acceptance = acceptance_record(responses, _totals(completion), drafts)
        return Finish(cast("FinishReason", completion.finish_reason), acceptance)

    def _info(
        self, target: Checkpoint, arguments: Mapping[str, Any], device: tuple[str, str | None], *, pytorch: bool
    ) -> EngineInfo:
        args = self._llm.args
        resolved = resolved_arguments(args, arguments, pytorch=pytorch)
        speculation = self._pair.engine_args.get("speculative_config")
        if speculation is not None:
            resolved["speculative_config"] = speculation
        context = args.max_seq_len or target.size("max_position_embeddings")
        vocabulary = target.size("vocab_size")
        if vocabulary is None or context is None:
            missing = "vocab_size" if vocabulary is None else "max_position_embeddings"
            raise EngineError(f"The config.json of {self._pair.model!r} gives no {missing}.", "Add it.")
        self._limits = (context, vocabulary)
        return EngineInfo(
            name="trtllm",
            version=tensorrt_llm.__version__,
            args=cast("Mapping[str, EngineArg]", resolved),
            device=device[0],
            device_count=gpus_needed(self._pair),
            driver=device[1],
            max_concurrency=args.max_batch_size,
            vocab_size=vocabulary,
            context_tokens=context,
            eos_token_ids=self._eos,
        )


def _llm_class(*, pytorch: bool) -> Any:
    if pytorch:
        return LLM
    from tensorrt_llm import _tensorrt_engine

    return _tensorrt_engine.LLM


def _argument_class(*, pytorch: bool) -> Any:
    from tensorrt_llm.llmapi import llm_args

    return llm_args.TorchLlmArgs if pytorch else llm_args.TrtLlmArgs


def _check_names(given: Mapping[str, Any], kind: Any, prefix: str = "") -> None:
    known = {*kind.model_fields, DRAFT_MODEL_FIELD}  # 1.2 takes this one, and has it under another name
    for name in given:
        if name not in known:
            raise EngineError(
                f"TensorRT-LLM {tensorrt_llm.__version__} has no engine argument '{prefix}{name}'.",
                f"{closest(name, known)}They are listed in its documentation of {kind.__name__}.",
            )


def _sampling_params(sampling: Sampling, eos: tuple[int, ...]) -> Any:
    """The end is given as ids, all of which stay in the output: left alone, TensorRT-LLM cuts some of them off."""
    end: dict[str, Any] = {"end_id": eos[0]} if eos else {}
    if eos[1:] and not sampling.ignore_eos:
        end.update(stop_token_ids=list(eos[1:]), include_stop_str_in_output=True)
    # Greedy is what it does when nothing is said.
    how = {} if sampling.greedy else {"temperature": sampling.temperature, "top_p": sampling.top_p}
    return SamplingParams(
        max_tokens=sampling.max_output_tokens,
        seed=None if sampling.greedy else sampling.seed,
        ignore_eos=sampling.ignore_eos,
        detokenize=False,
        return_perf_metrics=True,
        **how,
        **end,
    )


def _totals(completion: Any) -> Totals | None:
    metrics = completion.request_perf_metrics
    if metrics is None:
        return None
    speculation = metrics.speculative_decoding
    try:
        return Totals(
            count(speculation.total_draft_tokens, "total_draft_tokens"),
            count(speculation.total_accepted_draft_tokens, "total_accepted_draft_tokens"),
        )
    except ValueError as error:
        raise contradiction(str(error)) from error
