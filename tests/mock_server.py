"""A mock of OpenAI-compatible servers: it streams a scripted answer in the manner of one real server or another.

What each manner sends and refuses was read in the servers' own sources: vLLM 0.32, SGLang 0.5.23, TensorRT-LLM 1.2
and llama.cpp b11434.

    python -m tests.mock_server PORT MANNER
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.openai.tokenizer import TargetTokenizer

TOKENIZER = TargetTokenizer(BUNDLED_FOLDER / "target")
END = 3
"""The bundled target's end-of-sequence token."""
MODEL = "org/model"
DRAFT_LENGTH = 3
TEMPLATED_TOKENS = 17
"""What the server makes of any conversation."""
_OPENAI = {
    "messages",
    *("model", "prompt", "max_tokens", "temperature", "top_p", "seed", "stream", "stream_options", "logprobs", "n"),
    *("presence_penalty", "frequency_penalty"),
}
_TRTLLM = {*_OPENAI, "top_k", "min_p", "repetition_penalty", "ignore_eos", "detokenize", "add_special_tokens"} | {
    *("skip_special_tokens", "include_stop_str_in_output")
}
_OWNERS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt_llm", "llamacpp": "llamacpp"}

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def scripted(text: str = " one two three four five six") -> tuple[tuple[int, ...], ...]:
    """A text's tokens and an end, in the steps of K = 3: the prefill's, then 2, 0, 3 accepted and so on."""
    ids = [*TOKENIZER.encode(text).ids, END]
    steps, sizes = [tuple(ids[:1])], [3, 1, 4, 2]
    ids = ids[1:]
    while ids:
        size = sizes[(len(steps) - 1) % len(sizes)]
        steps.append(tuple(ids[:size]))
        ids = ids[size:]
    return tuple(steps)


@dataclass
class MockServer:
    """What a server answers, and what it was asked.

    Attributes:
        manner: ``vllm``, ``sglang``, ``trtllm``, ``llamacpp``, ``named`` (ids as names of log-probabilities),
            ``strict`` (nothing but OpenAI's own fields, and text), ``text`` (prompts as text only), ``chat``
            (conversations only, and text) or ``deaf`` (makes a text of the prompt's ids).
        steps: tokens of every decode step, the prefill's first.
        reports: whether it says how drafting went.
        respond: takes the place of the completion.
        probes: completions before it does.
        pages: bodies by path, on top of what the manner has.
    """

    manner: str = "vllm"
    steps: Sequence[Sequence[int]] = field(default_factory=scripted)
    reports: bool = True
    respond: Respond | None = None
    probes: int = 0
    pages: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    @property
    def tokens(self) -> tuple[int, ...]:
        """All that it has to say."""
        return tuple(token for step in self.steps for token in step)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.authorizations.append(request.headers.get("Authorization"))
        if self.respond is not None and len(self.asked) > self.probes:
            return await self.respond(request)
        if self.manner == "chat" and "messages" not in body:
            return web.json_response({"detail": "Not Found"}, status=404)
        if refusal := self._refusal(body):
            return web.Response(status=400, text=json.dumps({"error": {"message": refusal, "code": 400}}))
        if not body.get("stream"):
            choice = {"text": "", "prompt_token_ids": body["prompt"] if body.get("return_token_ids") else None}
            return web.json_response({"object": "text_completion", "choices": [choice]})
        return await stream(request, [event(payload) for payload in self.payloads(body)] + [event("[DONE]")])

    def payloads(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks of an answer, the one with usage last."""
        emitted: list[int] = []
        steps = list(cut(self.steps, body["max_tokens"]))
        whole = sum(map(len, steps)) == len(self.tokens)
        for number, step in enumerate(steps):
            reason = ("stop" if whole else "length") if number == len(steps) - 1 else None
            pieces = [[token] for token in step] if self.manner == "llamacpp" else [step]
            for index, piece in enumerate(pieces):
                before, emitted = text_of(emitted), [*emitted, *piece]
                choice = self._choice(piece, text_of(emitted)[len(before) :], body)
                choice["finish_reason"] = reason if index == len(pieces) - 1 else None
                if self.manner == "trtllm" and self.reports:
                    choice["avg_decoded_tokens_per_iter"] = len(emitted) / (number + 1)
                payload: dict[str, Any] = {"object": "text_completion", "choices": [choice]}
                if self.manner == "llamacpp" and self.reports and body.get("timings_per_token"):
                    payload["timings"] = timings(self.steps[: number + 1], len(emitted))
                yield payload
        yield from self._last(body, len(emitted))

    def _choice(self, ids: Sequence[int], text: str, body: Mapping[str, Any]) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            **({"delta": {"content": text}} if "messages" in body else {"text": text}),
        }
        if self.manner in ("vllm", "sglang") and body.get("return_token_ids"):
            choice["token_ids"] = list(ids)
        if self.manner == "trtllm" and body.get("detokenize") is False:
            choice.update(text="", token_ids=list(ids))
        if self.manner == "named" and body.get("return_tokens_as_token_ids") and body.get("logprobs") is not None:
            choice["logprobs"] = {"tokens": [f"token_id:{token}" for token in ids]}
        return choice

    def _last(self, body: Mapping[str, Any], emitted: int) -> Iterator[dict[str, Any]]:
        reported = self.reports and emitted == len(self.tokens)
        if self.manner == "sglang" and reported and body.get("return_spec_tokens_details"):
            yield {"object": "text_completion", "choices": [], "sglext": {"spec_tokens_details": details(self.steps)}}
        prompt = body.get("prompt") or [0] * TEMPLATED_TOKENS
        if self.manner == "deaf":
            prompt = " ".join(map(str, prompt))
        prompt_tokens = len(prompt) if isinstance(prompt, list) else len(TOKENIZER.encode(prompt).ids)
        last: dict[str, Any] = {
            "object": "text_completion",
            "choices": [],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": emitted},
        }
        if self.manner == "vllm" and reported:
            last["metrics"] = {"speculative_decoding": speculation(self.steps)}
        yield last

    def _refusal(self, body: Mapping[str, Any]) -> str:
        if self.manner == "sglang" and body.get("top_k") == 0:
            return "top_k must be -1 (disable) or at least 1, got 0."
        known = {"strict": _OPENAI, "trtllm": _TRTLLM}.get(self.manner)
        if known is not None and (extra := sorted(body.keys() - known)):
            return f"Extra inputs are not permitted: {extra[0]}"
        if self.manner == "text" and not isinstance(body.get("prompt"), str):
            return "prompt must be a string"
        return ""

    async def page(self, request: web.Request) -> web.StreamResponse:
        card: dict[str, Any] = {"id": MODEL, "owned_by": _OWNERS.get(self.manner, "somebody"), "max_model_len": 2048}
        if self.manner == "trtllm":
            del card["max_model_len"]
        if self.manner == "llamacpp":
            card = {**card, "max_model_len": None, "meta": {"n_ctx": 2048, "n_vocab": 4096}}
        bodies = {"/v1/models": json.dumps({"object": "list", "data": [{**card, **self.card}]}), **self.pages}
        body = bodies.get(request.path)
        return web.Response(text=body) if body is not None else web.Response(status=404)


def cut(steps: Sequence[Sequence[int]], limit: int) -> Iterator[Sequence[int]]:
    """The steps up to a limit of tokens."""
    for step in steps:
        if limit <= 0:
            return
        yield step[:limit]
        limit -= len(step)


def text_of(ids: Sequence[int]) -> str:
    return TOKENIZER.decode(tuple(token for token in ids if token != END))


def histogram(steps: Sequence[Sequence[int]]) -> list[int]:
    accepted = [len(step) - 1 for step in steps[1:]]
    return [accepted.count(count) for count in range(DRAFT_LENGTH + 1)]


def speculation(steps: Sequence[Sequence[int]]) -> dict[str, Any]:
    """vLLM's ``metrics.speculative_decoding``, with details."""
    accepted = [len(step) - 1 for step in steps[1:]]
    return {
        "acceptance_histogram": histogram(steps),
        "num_draft_tokens": DRAFT_LENGTH * len(accepted),
        "num_spec_tokens": DRAFT_LENGTH,
        "per_step_accepted": accepted,
        "per_step_drafted": [DRAFT_LENGTH] * len(accepted),
    }


def details(steps: Sequence[Sequence[int]]) -> dict[str, Any]:
    """SGLang's ``sglext.spec_tokens_details``, with its own accept length."""
    counts, verified = histogram(steps), len(steps) - 1
    return {
        "spec_accept_rate": 0.5,
        "spec_accept_length": sum(map(len, steps)) / verified,
        "spec_cap_length": 0.0,
        "spec_block_accept_length": 0.0,
        "spec_num_correct_drafts": sum(j * count for j, count in enumerate(counts)),
        "spec_num_proposed_drafts": DRAFT_LENGTH * verified,
        "spec_verify_ct": verified,
        "spec_correct_drafts_histogram": counts,
        "spec_cap_lens_histogram": [],
    }


def timings(steps: Sequence[Sequence[int]], predicted: int) -> dict[str, Any]:
    """llama.cpp's ``timings`` after these steps; without a draft so far it leaves the drafts out."""
    drafts = {
        "draft_n": DRAFT_LENGTH * (len(steps) - 1),
        "draft_n_accepted": sum(len(step) - 1 for step in steps[1:]),
    }
    return {"cache_n": 0, "prompt_n": 3, "predicted_n": predicted, "predicted_ms": 1.5, **(drafts if steps[1:] else {})}


def event(payload: object) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


async def stream(request: web.Request, pieces: Sequence[bytes]) -> web.StreamResponse:
    """Write the pieces one by one, as they are."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response


def application(server: MockServer) -> web.Application:
    app = web.Application()
    routes = [web.post(path, server.complete) for path in ("/v1/completions", "/v1/chat/completions")]
    app.add_routes([*routes, web.get("/{page:.*}", server.page)])
    return app


@asynccontextmanager
async def serving(server: MockServer) -> AsyncIterator[MockServer]:
    """Run it on a free port of this machine."""
    async with TestServer(application(server)) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server


if __name__ == "__main__":
    web.run_app(application(MockServer(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]))
