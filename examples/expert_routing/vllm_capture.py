"""Reading vLLM's routing where its own ``enable_return_routed_experts`` does not run.

vLLM returns routed experts from its second model runner only, which needs Triton; the CPU wheels run the first one.
Both call the same hook in every router with the expert ids that were chosen, so here a class mixed into vLLM's worker
(``worker_extension_cls``) sets that hook itself. It records forward passes, not requests: one request runs at a time.

    python -m examples.expert_routing.vllm_capture --model DIR --prompts PROMPTS.json --max-tokens 32 --out OUT.json

``PROMPTS.json`` is a list of prompts, each a list of token ids. ``OUT.json`` has an object per prompt: its greedy
``output_ids``, and ``passes``, for every forward pass (prefill first) the expert ids by token and mixture layer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class RoutingCapture:
    """Methods for vLLM's worker, called with ``collective_rpc``."""

    model_runner: Any

    def start_routing_capture(self) -> int:
        """Record what every router chooses from now on; returns the number of mixture layers."""
        from vllm.model_executor.layers.fused_moe.layer import MoERunner

        self._chosen: dict[int, list[NDArray[np.uint16]]] = {}
        for module in self.model_runner.model.modules():
            if isinstance(module, MoERunner):
                chosen = self._chosen.setdefault(module.layer_id, [])
                module.router.set_capture_fn(
                    lambda ids, chosen=chosen: chosen.append(ids.cpu().numpy().astype("<u2"))  # copied by the cast
                )
        return len(self._chosen)

    def take_routing(self) -> list[tuple[tuple[int, ...], bytes]]:
        """Shape (tokens, layers, top_k) and ids of every forward pass since the last call."""
        passes = [np.stack(layers, axis=1) for layers in zip(*self._chosen.values(), strict=True)]
        for chosen in self._chosen.values():
            chosen.clear()
        return [(step.shape, step.tobytes()) for step in passes]


async def captured(model: Path, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[dict[str, Any]]:
    """Decode greedily in fp32 on the CPU, one prompt after the other, and record the routing."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = AsyncEngineArgs(
        model=str(model),
        dtype="float32",
        enforce_eager=True,
        skip_tokenizer_init=True,
        # A cached prefix is not computed, so it would not be routed either.
        enable_prefix_caching=False,
        worker_extension_cls="examples.expert_routing.vllm_capture.RoutingCapture",
    )
    engine = AsyncLLM.from_engine_args(arguments)
    sampling = SamplingParams(
        temperature=0, max_tokens=max_tokens, output_kind=RequestOutputKind.FINAL_ONLY, detokenize=False
    )
    requests = []
    try:
        await engine.collective_rpc("start_routing_capture")
        for number, prompt in enumerate(prompts):
            output_ids: list[int] = []
            async for out in engine.generate({"prompt_token_ids": list(prompt)}, sampling, request_id=str(number)):
                output_ids = list(out.outputs[0].token_ids)
            (taken,) = await engine.collective_rpc("take_routing")
            passes = [np.frombuffer(ids, "<u2").reshape(shape).tolist() for shape, ids in taken]
            requests.append({"output_ids": output_ids, "passes": passes})
    finally:
        engine.shutdown()
    return requests


def main() -> None:
    """Read prompts, write outputs and routing."""
    parser = argparse.ArgumentParser(prog="python -m examples.expert_routing.vllm_capture")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    prompts = json.loads(options.prompts.read_text(encoding="utf-8"))
    requests = asyncio.run(captured(options.model, prompts, options.max_tokens))
    options.out.write_text(json.dumps(requests), encoding="utf-8")


if __name__ == "__main__":
    main()
