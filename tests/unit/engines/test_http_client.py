"""Answers that no sound server gives: endless, gigantic, or not in UTF-8."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pytest_speedbench.engines.http import client as http_client
from pytest_speedbench.engines.http.client import ServerClient, error_message
from pytest_speedbench.engines.http.events import EventStream
from pytest_speedbench.errors import EngineError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHUNK = b"x" * 4096


@asynccontextmanager
async def asking(handler: Handler) -> AsyncIterator[ServerClient]:
    app = web.Application()
    app.router.add_route("*", "/page", handler)
    async with TestServer(app) as server:
        client = ServerClient(str(server.make_url("")).rstrip("/"), None, kind="vLLM", key_variable="KEY")
        try:
            yield client
        finally:
            await client.close()


def endless(status: int, content_type: str, beginning: bytes = b"") -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": content_type})
        await response.prepare(request)
        await response.write(beginning)
        for _ in range(1000):
            await response.write(CHUNK)
        return response

    return handler


def refused(handler: Handler, *, stream: bool) -> str:
    async def ask() -> None:
        async with asking(handler) as client:
            if stream:
                async for _ in client.events("/page", {}):
                    pass
            else:
                await client.get("/page")

    with pytest.raises(EngineError) as caught:
        asyncio.run(ask())
    return caught.value.problem


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, status: int, stream: bool) -> None:
    monkeypatch.setattr(http_client, "MOST_BODY_BYTES", 100_000)
    problem = refused(endless(status, "application/json"), stream=stream)
    assert "answers with more than 100,000 bytes" in problem


@pytest.mark.parametrize("beginning", [b"data: ", b""])
def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(EventStream.__init__, "__defaults__", (100_000,))
    problem = refused(endless(200, "text/event-stream", beginning), stream=True)
    assert "streams an event of more than 100,000 bytes" in problem


def test_a_long_message_is_shown_in_part() -> None:
    assert error_message(b'{"error": {"message": "' + b"y" * 10_000 + b'"}}') == "y" * 500 + "… (9,500 more characters)"
    assert error_message(b"\xff\xfe" + b"z" * 498) == "\ufffd\ufffd" + "z" * 498
    assert error_message(b"[" * 100_000).startswith("[[[")
