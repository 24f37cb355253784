"""A pair in memory, and one request at a time through transformers' own decoding loop. Synchronous."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from transformers import GenerationConfig, StoppingCriteriaList, TemperatureLogitsWarper, TopPLogitsWarper
from transformers.generation.candidate_generator import CandidateGenerator

from pytest_speedbench.config import DrafterMethod, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, FinishReason, Request
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.fit import check_fit, check_target
from pytest_speedbench.engines.transformers.checks import check_drafter, check_mtp
from pytest_speedbench.engines.transformers.drafters import LoadedDrafter, load_drafter
from pytest_speedbench.engines.transformers.loading import LoadedModel, Placement, load_language_model
from pytest_speedbench.engines.transformers.observers import DrafterSeam, Output, Recorder
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError


class PairDecoder:
    """A target and its drafter, loaded. All calls come from one thread.

    Args:
        pair: what to load; hub ids are downloaded unless the hub is offline.
        options: the pair's engine arguments, parsed.

    Raises:
        EngineError: checkpoints that are missing, do not load, or do not fit each other.
    """

    def __init__(self, pair: Pair, options: TransformersOptions) -> None:
        target_checkpoint, drafter_checkpoint = _open_checkpoints(pair)
        self._pair = pair
        self._placement = Placement.choose(options)
        self._target: LoadedModel = load_language_model(
            target_checkpoint, self._placement, drafts=pair.drafter is not None
        )
        self._seam = DrafterSeam(self._target.model)
        self._drafter: LoadedDrafter | None = None
        if pair.drafter is not None:
            self._drafter = load_drafter(
                pair.drafter, drafter_checkpoint, target_checkpoint, self._target, self._placement, options
            )
        drafter_limit = self._drafter.context_tokens if self._drafter else None
        limits = (self._target.context_tokens, drafter_limit, options.context_tokens)
        self._context_tokens = min(limit for limit in limits if limit is not None)

    def info(self) -> EngineInfo:
        """What runs, as resolved."""
        device = self._placement.device
        return EngineInfo(
            name="transformers",
            version=transformers.__version__,
            args=self._resolved_args(),
            device=_device_name(device),
            device_count=1,
            driver=f"CUDA {torch.version.cuda}" if device.type == "cuda" else None,
            max_concurrency=1,
            vocab_size=self._target.vocab_size,
            context_tokens=self._context_tokens,
            eos_token_ids=self._target.eos_token_ids,
        )

    def decode(self, request: Request, emit: Callable[[Emission], None], cancelled: threading.Event) -> Finish:
        """Decode one request to its end, or to the next step once ``cancelled`` is set.

        Raises:
            EngineError: the request does not fit the model, or transformers failed.
        """
        self._check_request(request)
        sampling = request.sampling
        eos = frozenset() if sampling.ignore_eos else frozenset(self._target.eos_token_ids)
        output = Output(len(request.prompt_ids), sampling.max_output_tokens, eos, emit, cancelled)
        recorders: list[Recorder] = []
        self._seam.install(lambda config: self._recorded(config, recorders))
        prompt = torch.tensor([request.prompt_ids], device=self._placement.device)
        try:
            with torch.inference_mode(), _seeded(sampling, self._placement.device):
                self._target.model.generate(
                    prompt,
                    attention_mask=torch.ones_like(prompt),
                    generation_config=self._generation_config(len(request.prompt_ids), sampling),
                    stopping_criteria=StoppingCriteriaList([output]),
                )
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(
                f"transformers failed on request {request.request_id}: {type(error).__name__}: {error}",
                "If the message does not say how to mend it, try the target without its drafter.",
            ) from error
        return self._finish(request, output, recorders, cancelled)

    def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The target's ``count`` most probable next tokens with their natural log-probabilities."""
        prompt = torch.tensor([prompt_ids], device=self._placement.device)
        with torch.inference_mode():
            logits = self._target.model(input_ids=prompt).logits[0, -1]
        ranked = torch.log_softmax(logits.float(), dim=-1).topk(min(count, self._target.vocab_size))
        return tuple(zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True))

    def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...]:
        """The ids in the target's first forward pass when a prompt is decoded.

        Raises:
            EngineError: the prompt does not fit the model, or transformers failed.
        """
        passes: list[tuple[int, ...]] = []

        def note(_: object, __: object, inputs: Mapping[str, Any]) -> None:
            passes.append(tuple(inputs["input_ids"][0].tolist()))

        hook = self._target.model.register_forward_pre_hook(note, with_kwargs=True)
        try:
            self.decode(Request("read back", prompt_ids, Sampling(1)), lambda _: None, threading.Event())
        finally:
            hook.remove()
        return passes[0]

    def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...]:
        """By how many nats the target preferred each output token to the best of the others."""
        logits, chosen = self._read(prompt_ids, output_ids)
        own = logits.gather(1, chosen)
        others = logits.scatter(1, chosen, float("-inf")).amax(dim=1, keepdim=True)
        return tuple((own - others)[:, 0].tolist())

    def log_probabilities_nats(
        self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...], sampling: Sampling
    ) -> tuple[float, ...]:
        """The natural log-probability of each output token under the distribution that ``generate`` draws from."""
        logits, chosen = self._read(prompt_ids, output_ids)
        logits = TemperatureLogitsWarper(sampling.temperature)(chosen, logits)
        kept = logits
        if sampling.top_p < 1:
            kept = TopPLogitsWarper(sampling.top_p)(chosen, logits)
            # What was put out was among the kept ones, though rounding may see it beyond the last of them now.
            kept = kept.scatter(1, chosen, logits.gather(1, chosen))
        found = torch.log_softmax(kept, dim=-1).gather(1, chosen)
        return tuple(found[:, 0].clamp(max=0.0).tolist())

    def close(self) -> None:
        """Let go of the models."""
        if self._drafter is not None:
            self._drafter.close()

    def _read(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """The target's logits where it put out every token, [tokens, V], and those tokens, [tokens, 1]."""
        text = torch.tensor([prompt_ids + output_ids[:-1]], device=self._placement.device)
        chosen = torch.tensor(output_ids, device=self._placement.device)[:, None]
        with torch.inference_mode():
            return self._target.model(input_ids=text, logits_to_keep=len(output_ids)).logits[0].float(), chosen

    def _recorded(self, generation_config: Any, recorders: list[Recorder]) -> CandidateGenerator:
        if self._drafter is None or self._pair.drafter is None:
            raise RuntimeError("a target alone was asked for drafts")
        recorder = Recorder(
            self._drafter.candidates(generation_config), self._pair.drafter.draft_length, self._context_tokens
        )
        recorders.append(recorder)
        return recorder

    def _finish(
        self, request: Request, output: Output, recorders: list[Recorder], cancelled: threading.Event
    ) -> Finish:
        reason: FinishReason = "stop" if output.ended else "length"
        if self._drafter is None or cancelled.is_set():
            return Finish(reason, None)
        record = recorders[0].record(output.discarded_tokens)
        if record.expected_output_tokens() != output.emitted_tokens:
            raise EngineError(
                f"The counts of request {request.request_id} contradict each other: its steps imply "
                f"{record.expected_output_tokens()} output tokens, and {output.emitted_tokens} were emitted.",
                f"Report it with the version of transformers, {transformers.__version__}.",
            )
        return Finish(reason, record)

    def _generation_config(self, prompt_tokens: int, sampling: Sampling) -> GenerationConfig:
        draft_length = self._pair.drafter.draft_length if self._pair.drafter else 0
        # Room for a whole last draft, so that the loop never cuts; `Output` does, and drafts end with the context.
        longest = min(prompt_tokens + sampling.max_output_tokens + draft_length, self._context_tokens)
        choice: dict[str, Any] = {"do_sample": False}
        if not sampling.greedy:
            choice = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        # Any value makes `generate` enter its assisted loop; the candidates come through the seam.
        assisted = {"prompt_lookup_num_tokens": draft_length} if self._drafter else {}
        return GenerationConfig(max_length=longest, **choice, **assisted)  # type: ignore[no-untyped-call]

    def _check_request(self, request: Request) -> None:
        prompt_tokens, limit = len(request.prompt_ids), request.sampling.max_output_tokens
        if prompt_tokens < 1 or limit < 1:
            raise EngineError(
                f"Request {request.request_id} has {prompt_tokens} prompt tokens and asks for {limit}.",
                "Give at least one of each.",
            )
        if not 0 <= min(request.prompt_ids) <= max(request.prompt_ids) < self._target.vocab_size:
            raise EngineError(
                f"The prompt of request {request.request_id} has token ids outside the target's vocabulary of "
                f"{self._target.vocab_size}.",
                "Use the target's own tokenizer.",
            )
        if prompt_tokens + limit > self._context_tokens:
            raise EngineError(
                f"Request {request.request_id} needs {prompt_tokens} prompt and {limit} output tokens, and the "
                f"context has room for {self._context_tokens}.",
                "Lower the output limit, or leave out the long prompts.",
            )

    def _resolved_args(self) -> Mapping[str, EngineArg]:
        config = self._target.model.config
        on_cpu = self._placement.device.type == "cpu"
        return {
            "device": str(self._placement.device),
            "dtype": str(self._target.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads() if on_cpu else None,
            "attn_implementation": getattr(config, "_attn_implementation", None),
            **(self._drafter.args if self._drafter else {}),
        }


def _open_checkpoints(pair: Pair) -> tuple[Checkpoint, Checkpoint | None]:
    target = open_checkpoint(pair.model, download=True)
    check_target(target)
    if pair.drafter is None:
        return target, None
    if pair.drafter.method is DrafterMethod.MTP:
        check_mtp(target, pair.drafter.draft_length)
    if pair.drafter.model is None:
        return target, None
    drafter = open_checkpoint(pair.drafter.model, download=True)
    check_drafter(drafter, pair.drafter.method, pair.drafter.draft_length)
    check_fit(target, drafter, pair.drafter.method, "padded")
    return target, drafter


@contextmanager
def _seeded(sampling: Sampling, device: torch.device) -> Iterator[None]:
    """Draw from the request's own seed, and leave the process's random state as it was."""
    if sampling.greedy:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(sampling.seed)
        yield


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    return cpu_name()
