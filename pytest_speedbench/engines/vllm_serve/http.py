"""A connection to one server: plain questions, and answers that stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import msgspec

from pytest_speedbench.engines.vllm_serve.stream import EventStream
from pytest_speedbench.errors import EngineError

_CONNECT_S = 30.0
_QUESTION_S = 60.0
_KEEP_ALIVE_S = 2.0
"""Shorter than a server keeps an idle connection, so that no request is sent into one that it is closing."""

_Failures = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


class ServerDownError(EngineError):
    """The server is gone or broke down, other than by refusing what it was asked."""


class ServerClient:
    """A client of one server with as many connections at a time as it is asked for.

    Args:
        url: the server's root, without a slash at its end.
        api_key: sent with every request and shown nowhere; ``None`` for none.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            headers=headers,
        )

    async def get(self, path: str) -> bytes:
        """The body at ``path``.

        Raises:
            EngineError: the server refuses.
            ServerDownError: it does not answer.
        """
        body = await self.find(path)
        if body is None:
            raise EngineError(
                f"The server at {self.url} has no {path}.",
                "Check that the endpoint is the root URL of a vLLM server, such as http://host:8000.",
            )
        return body

    async def find(self, path: str) -> bytes | None:
        """The body at ``path``; ``None`` if the server has no such page.

        Raises:
            EngineError: the server refuses.
            ServerDownError: it does not answer.
        """
        status, body = await self._ask("GET", path, None)
        if status == 404:
            return None
        if status != 200:
            raise self._refusal(status, body)
        return body

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The answer to a question.

        Raises:
            EngineError: the server refuses.
            ServerDownError: it does not answer.
        """
        status, answer = await self._ask("POST", path, body)
        if status != 200:
            raise self._refusal(status, answer)
        return answer

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[tuple[bytes, float], None]:
        """The data of every server-sent event of an answer, with ``time.perf_counter()`` when its bytes arrived.

        Closing the generator closes the connection, which makes the server drop the request.

        Raises:
            EngineError: the server refuses.
            ServerDownError: it does not answer, or the connection breaks.
        """
        response = None
        try:
            response = await self._request("POST", path, body)
            if response.status != 200:
                raise self._refusal(response.status, await response.read())
            stream = EventStream()
            async for received in response.content.iter_any():
                at_s = time.perf_counter()
                for data in stream.feed(received):
                    yield data, at_s
        except _Failures as error:
            raise self._failure(error) from error
        finally:
            if response is not None:
                response.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        try:
            response = await asyncio.wait_for(self._request(method, path, body), _QUESTION_S)
            async with response:
                return response.status, await asyncio.wait_for(response.read(), _QUESTION_S)
        except _Failures as error:
            raise self._failure(error) from error

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> aiohttp.ClientResponse:
        data = None if body is None else msgspec.json.encode(body)
        headers = None if body is None else {"Content-Type": "application/json"}
        # A redirect could carry the key to somewhere else.
        return await self._session.request(method, self.url + path, data=data, headers=headers, allow_redirects=False)

    def _failure(self, error: Exception) -> ServerDownError:
        return ServerDownError(
            f"The server at {self.url} does not answer: {type(error).__name__}: {error}.",
            "Check that it is running and that the URL is right.",
        )

    def _refusal(self, status: int, body: bytes) -> EngineError:
        if status in (401, 403):
            return EngineError(
                f"The server at {self.url} does not accept the API key, or wants one (HTTP {status}).",
                "Put its key into the environment variable VLLM_API_KEY.",
            )
        message = error_message(body)
        if status >= 500:
            return ServerDownError(
                f"The server at {self.url} failed with HTTP {status}: {message}", "Its own log says more."
            )
        return EngineError(
            f"The server at {self.url} refused a request with HTTP {status}: {message}", "Mend what its message names."
        )


class _Error(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error | None = None
    message: str = ""


def error_message(body: bytes) -> str:
    """What an error answer says: its message if it is in a shape that vLLM uses, else the text, shortened."""
    try:
        read = msgspec.json.decode(body, type=_ErrorBody)
        message = (read.error.message if read.error else "") or read.message
    except msgspec.DecodeError:
        message = ""
    return message or body.decode(errors="replace").strip()[:500] or "(nothing)"
