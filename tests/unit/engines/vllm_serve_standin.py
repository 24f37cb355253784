"""A small HTTP server in the place of vLLM's: it answers as the test says and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

MODEL = "org/model"
SPECULATION = {
    "acceptance_histogram": [1, 0, 1, 0],
    "num_draft_tokens": 6,
    "num_spec_tokens": 3,
    "per_step_accepted": [2, 0],
    "per_step_drafted": [3, 3],
}

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(payload: object) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def chunk(*token_ids: int, finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "object": "text_completion",
        "choices": [{"index": 0, "text": "Grüße 🙂", "token_ids": list(token_ids), "finish_reason": finish_reason}],
    }


def usage(prompt_tokens: int, completion_tokens: int, speculation: object = None) -> dict[str, Any]:
    last: dict[str, Any] = {
        "object": "text_completion",
        "choices": [],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
    }
    return last if speculation is None else {**last, "metrics": {"speculative_decoding": speculation}}


def answer(prompt_tokens: int = 3, speculation: object = SPECULATION) -> list[bytes]:
    """Five tokens in three chunks: the prefill's, a step that accepted two drafts, one that accepted none."""
    payloads = (chunk(11), chunk(12, 13, 14), chunk(2, finish_reason="stop"), usage(prompt_tokens, 5, speculation))
    return [*map(event, payloads), event("[DONE]")]


@dataclass
class StandIn:
    """What the server answers, and what it was asked.

    ``pieces`` are written one by one, as they are; ``respond`` takes their place if it is there. Pages that are
    ``None`` do not exist.
    """

    pieces: Sequence[bytes] = field(default_factory=answer)
    respond: Respond | None = None
    metrics: str | None = None
    server_info: dict[str, Any] | None = None
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": MODEL, "root": "/models/model", "parent": None, "max_model_len": 2048}]
    )
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.authorizations.append(request.headers.get("Authorization"))
        if self.respond is not None:
            return await self.respond(request)
        return await self.stream(request, self.pieces)

    async def stream(self, request: web.Request, pieces: Sequence[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.001)
        return response

    async def stream_forever(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(event(chunk(7)))
                await asyncio.sleep(0.001)
        except (ConnectionError, asyncio.CancelledError):
            self.disconnected.set()
            raise

    async def page(self, request: web.Request) -> web.StreamResponse:
        bodies = {
            "/v1/models": json.dumps({"object": "list", "data": self.models}),
            "/version": '{"version": "0.32.0"}',
            "/metrics": self.metrics,
            "/server_info": json.dumps(self.server_info) if self.server_info is not None else None,
        }
        body = bodies.get(request.path)
        return web.Response(text=body) if body is not None else web.Response(status=404)


@asynccontextmanager
async def serving(standin: StandIn) -> AsyncIterator[StandIn]:
    """Run it on a free port of this machine."""
    app = web.Application()
    app.add_routes([web.post("/v1/completions", standin.complete), web.get("/{page:.*}", standin.page)])
    async with TestServer(app) as server:
        standin.url = str(server.make_url("")).rstrip("/")
        yield standin
