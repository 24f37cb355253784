"""The ways in which servers are asked for token ids, and the request in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pytest_speedbench.config import Sampling

PATH = "/v1/completions"
CHAT_PATH = "/v1/chat/completions"
OutputIds = Literal["token_ids", "logprobs", "retokenized"]
PromptForm = Literal["token_ids", "text", "templated by the server"]
Prompt = tuple[int, ...] | str | Sequence[Mapping[str, str]]
"""Token ids, a text, or messages."""

_ACCEPTANCE = MappingProxyType({"return_spec_tokens_details": True, "timings_per_token": True})
"""What has SGLang and llama.cpp say how drafting went; vLLM is told at its start."""
_UNCACHED = MappingProxyType({"cache_prompt": False})
"""llama.cpp would skip the prefill of a prompt that was asked before."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask a server.

    Attributes:
        output_ids: where the output's ids come from: the answer's own ids; log-probabilities that name tokens by their
            ids; or the answer's text, tokenized again.
        prompt: what a prompt is sent as. As text, it is the server that tokenizes it; as messages, it is the server
            too that renders them.
        sampling: whether more than OpenAI's own sampling fields is said. What is not said is the server's to choose.
        all_tokens: the value of ``top_k`` for all of them.
        fields: more fields of the request.
    """

    output_ids: OutputIds
    prompt: PromptForm = "token_ids"
    sampling: bool = True
    all_tokens: int = -1
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def route(self) -> str:
        """The page that is asked."""
        return CHAT_PATH if self.prompt == "templated by the server" else PATH

    def request(self, model: str, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        """The body that has one prompt decoded and streamed, with usage at its end."""
        body: dict[str, Any] = {
            "model": model,
            "messages" if self.route == CHAT_PATH else "prompt": prompt,
            "max_tokens": sampling.max_output_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.fields,
        }
        if not sampling.greedy:
            body["seed"] = sampling.seed
        if self.sampling:
            # Left out, they would be what the model's generation_config.json says.
            body.update(top_k=self.all_tokens, min_p=0.0, repetition_penalty=1.0, ignore_eos=sampling.ignore_eos)
        return body


DIALECTS = (
    # vLLM; SGLang since return_token_ids came.
    Dialect("token_ids", fields={"return_token_ids": True, **_ACCEPTANCE, **_UNCACHED}),
    # TensorRT-LLM, which refuses fields that it does not know, and else cuts the end token off.
    Dialect("token_ids", all_tokens=0, fields={"detokenize": False, "include_stop_str_in_output": True}),
    # Servers descended from older vLLM.
    Dialect("logprobs", fields={"logprobs": 1, "return_tokens_as_token_ids": True, **_UNCACHED}),
    # llama.cpp, older SGLang.
    Dialect("retokenized", fields={"skip_special_tokens": False, **_ACCEPTANCE, **_UNCACHED}),
    Dialect("retokenized", sampling=False),
    Dialect("retokenized", "text", fields={"skip_special_tokens": False, "add_special_tokens": False, **_ACCEPTANCE}),
    Dialect("retokenized", "text", sampling=False),
)
"""Best first."""
CHAT_DIALECTS = (
    Dialect("token_ids", "templated by the server", fields={"return_token_ids": True, **_ACCEPTANCE, **_UNCACHED}),
    Dialect(
        "retokenized", "templated by the server", fields={"skip_special_tokens": False, **_ACCEPTANCE, **_UNCACHED}
    ),
    Dialect("retokenized", "templated by the server", sampling=False),
)
"""For servers that take nothing but messages; best first."""
