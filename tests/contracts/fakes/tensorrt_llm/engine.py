"""``LLM`` on either backend."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .configs import PYTORCH_NAMES, TENSORRT_NAMES, DecodingConfig, NGramDecodingConfig, check_arguments
from .results import OUTPUT_NAMES, RequestOutput
from .sampling import SamplingParams
from .script import CURRENT
from .statistics import IterationResult, row
from .strict import Seen, note, since

OBJECT_NAMES = ("args", "generate_async", "get_stats_async", "shutdown", "tokenizer", "generate", "get_stats")
ARGS_NAMES = (
    *("dtype", "tensor_parallel_size", "pipeline_parallel_size", "context_parallel_size", "moe_expert_parallel_size"),
    *("enable_attention_dp", "max_batch_size", "max_num_tokens", "max_seq_len", "enable_chunked_prefill"),
    *("disable_overlap_scheduler", "enable_iter_perf_stats", "stream_interval", "kv_cache_config"),
    "speculative_config",
)
CACHE_NAMES = ("enable_block_reuse", "free_gpu_memory_fraction", "max_tokens")
GENERATE_NAMES = ("inputs", "sampling_params", "lora_request", "prompt_adapter_request", "streaming")
STATS_NAMES = ("timeout",)
_DEFAULTS = {
    "dtype": "auto",
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "context_parallel_size": 1,
    "moe_expert_parallel_size": None,
    "enable_attention_dp": False,
    "max_batch_size": 2048,
    "max_num_tokens": 8192,
    "max_seq_len": None,
    "enable_chunked_prefill": False,
}
_PYTORCH_DEFAULTS = {"disable_overlap_scheduler": False, "enable_iter_perf_stats": False, "stream_interval": 1}


class _Engine:
    """What the two have in common."""

    def __init__(self, subject: str, names: tuple[str, ...], backend: str, given: dict[str, Any]) -> None:
        check_arguments(subject, given, names)
        config: DecodingConfig | None = given.get("speculative_config")
        if config is not None and backend not in config.BACKENDS:
            raise ValueError(f"Speculation type {type(config).__name__} does not support backend {backend}")
        self._config = config
        pytorch = backend == "pytorch"
        values = {**_DEFAULTS, **(_PYTORCH_DEFAULTS if pytorch else {}), **given}
        cache = {"enable_block_reuse": True, "free_gpu_memory_fraction": None, **given.get("kv_cache_config", {})}
        values["kv_cache_config"] = Seen("LLM.args.kv_cache_config", CACHE_NAMES, SimpleNamespace(**cache))
        self.values = values
        args_names = ARGS_NAMES if pytorch else tuple(name for name in ARGS_NAMES if name not in _PYTORCH_DEFAULTS)
        self.args = Seen("LLM.args", args_names, SimpleNamespace(**values))
        self.stats = IterationResult()
        self.requests: list[RequestOutput] = []
        self.is_shut_down = False
        self._iteration = 0

    def generate_async(
        self,
        inputs: list[int],
        sampling_params: SamplingParams | None = None,
        lora_request: Any = None,
        prompt_adapter_request: Any = None,
        streaming: bool = False,
    ) -> Seen:
        """Begin to decode; the answer is iterated or awaited."""
        given = {"inputs": inputs, "sampling_params": sampling_params, "streaming": streaming}
        note("LLM.generate_async", [name for name, value in given.items() if value])
        assert lora_request is None
        assert prompt_adapter_request is None
        if self.is_shut_down:
            raise RuntimeError("LLM is shutting down")
        if not all(isinstance(token, int) for token in inputs):
            raise TypeError(f"The inputs must be type str or list of int, but got {type(inputs)}")
        length = None if self._config is None else self._config.draft_length
        output = RequestOutput(
            list(inputs),
            sampling_params or SamplingParams(),
            length,
            CURRENT.script,
            self.values.get("stream_interval", 1) if streaming else 1,
            self._on_step,
        )
        self.requests.append(output)
        self.stats.mark_undone()
        return Seen("RequestOutput", OUTPUT_NAMES, output)

    def get_stats_async(self, timeout: float | None = 2) -> Seen:
        """Iteration statistics from now on."""
        note("LLM.get_stats_async", STATS_NAMES)
        self.stats.set_timeout(2.0 if timeout is None else timeout)
        return self.stats.seen()

    def shutdown(self) -> None:
        """Stop."""
        self.is_shut_down = True

    def _on_step(self, accepted: int | None) -> None:
        if not self.values.get("enable_iter_perf_stats") or self._config is None:
            return
        if since("1.2") or isinstance(self._config, NGramDecodingConfig):
            self._iteration += 1
            self.stats.rows.put_nowait(row(self._iteration, self._config.draft_length, accepted))


def LLM(**given: Any) -> Seen:  # noqa: N802 - the real one's
    """The PyTorch backend."""
    engine = _Engine("LLM", PYTORCH_NAMES, "pytorch", given)
    STARTED.append(engine)
    return Seen("LLM object", OBJECT_NAMES, engine)


def tensorrt_llm(**given: Any) -> Seen:
    """The TensorRT backend."""
    engine = _Engine("_tensorrt_engine.LLM", TENSORRT_NAMES, "tensorrt", given)
    STARTED.append(engine)
    return Seen("LLM object", OBJECT_NAMES, engine)


STARTED: list[_Engine] = []
"""All engines started so far."""
