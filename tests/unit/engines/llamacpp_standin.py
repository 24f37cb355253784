"""A small HTTP server in the place of ``llama-server``: it answers as the test says and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(payload: object) -> bytes:
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def token(number: int, token_id: int, proposed: int = 0, accepted: int = 0) -> dict[str, Any]:
    """The ``number``-th token, with the counts so far: they are left out until something was drafted."""
    counts = {"draft_n": proposed, "draft_n_accepted": accepted} if proposed else {}
    return {
        "index": 0,
        "content": "Grüße 🙂",
        "tokens": [token_id],
        "stop": False,
        "id_slot": 0,
        "tokens_predicted": number,
        "tokens_evaluated": 3,
        "timings": {"predicted_n": number, **counts},
    }


def end(tokens: int, stop_type: str = "eos", prompt_tokens: int = 3) -> dict[str, Any]:
    return {
        "index": 0,
        "content": "",
        "tokens": [],
        "stop": True,
        "tokens_predicted": tokens,
        "tokens_evaluated": prompt_tokens,
        "stop_type": stop_type,
        "timings": {"predicted_n": tokens, "draft_n": 6, "draft_n_accepted": 2},
    }


def answer() -> list[dict[str, Any]]:
    """Five tokens: the prefill's, a step that accepted two of three drafts, one that accepted none."""
    return [token(1, 11), token(2, 12, 3, 2), token(3, 13, 3, 2), token(4, 14, 3, 2), token(5, 3, 6, 2), end(5)]


def scrape(drafts: int, positions: Sequence[int] = ()) -> str:
    lines = [
        f"llamacpp:spec_decode_num_drafts_total {drafts}",
        f"llamacpp:spec_decode_num_draft_tokens_total {3 * drafts}",
        f"llamacpp:spec_decode_num_accepted_tokens_total {sum(positions)}",
    ]
    name = "llamacpp:spec_decode_num_accepted_tokens_per_pos_total"
    lines += [f'{name}{{position="{position}"}} {count}' for position, count in enumerate(positions)]
    return "\n".join(lines) + "\n"


@dataclass
class StandIn:
    """What the server answers, and what it was asked.

    ``pieces`` are written one by one, as they are; ``respond`` takes their place if it is there. Pages that are
    ``None`` do not exist.
    """

    pieces: Sequence[bytes] = field(default_factory=lambda: [*map(event, answer())])
    respond: Respond | None = None
    metrics: str | None = None
    speculative: bool | None = True
    n_vocab: int = 4096
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        if self.respond is not None:
            return await self.respond(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
            await asyncio.sleep(0.001)
        return response

    async def stream_forever(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        number = 0
        try:
            while True:
                number += 1
                await response.write(event(token(number, 7)))
                await asyncio.sleep(0.001)
        except (ConnectionError, asyncio.CancelledError):
            self.disconnected.set()
            raise

    async def page(self, request: web.Request) -> web.StreamResponse:
        bodies: dict[str, object] = {
            "/v1/models": {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_vocab": self.n_vocab}}]},
            "/props": {
                "default_generation_settings": {"n_ctx": 2048, "params": {}},
                "total_slots": 4,
                "model_ftype": "all F32",
                "build_info": "b11434-abcdef0",
            },
            "/slots": None if self.speculative is None else [{"id": 0, "speculative": self.speculative}],
        }
        if request.path == "/metrics" and self.metrics is not None:
            return web.Response(text=self.metrics)
        body = bodies.get(request.path)
        if body is None:
            return web.json_response({"error": {"code": 501, "message": "not supported"}}, status=501)
        return web.json_response(body)


@asynccontextmanager
async def serving(standin: StandIn) -> AsyncIterator[StandIn]:
    """Run it on a free port of this machine."""
    app = web.Application()
    app.add_routes([web.post("/completion", standin.complete), web.get("/{page:.*}", standin.page)])
    async with TestServer(app) as server:
        standin.url = str(server.make_url("")).rstrip("/")
        yield standin
