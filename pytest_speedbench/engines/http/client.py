"""A connection to one server: plain questions, and answers that stream."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import msgspec

from pytest_speedbench.engines.http.events import EventStream
from pytest_speedbench.errors import EngineError

_CONNECT_S = 30.0
_QUESTION_S = 60.0
_SHOWN_CHARACTERS = 500
MOST_BODY_BYTES = 64 << 20
"""Of a page or an answer: a metrics page has some 100 kB, the log-probabilities of a long prompt some MB."""
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_KEEP_ALIVE_S = 2.0
"""Shorter than a server keeps an idle connection, so that no request is sent into one that it is closing."""

_NO_SUCH_PAGE = (404, 501)
"""501 is a page that the server was started without."""
_NO_STREAMS = ("text/html", "application/json", "text/plain")

_Failures = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


class ServerDownError(EngineError):
    """The server is gone or broke down, other than by refusing what it was asked."""


class RefusedError(EngineError):
    """The server refused what it was asked, with a 4xx status other than for a key.

    Args:
        problem: as for every error.
        remedy: as for every error.
        status: of the answer.
    """

    def __init__(self, problem: str, remedy: str, status: int) -> None:
        super().__init__(problem, remedy)
        self.status = status


class ServerClient:
    """A client of one server with as many connections at a time as it is asked for.

    Args:
        url: the server's root, without a slash at its end.
        api_key: sent with every request and shown nowhere; ``None`` for none.
        kind: what server it should be, in words such as "vLLM".
        key_variable: the environment variable for the key, for the message to those whose key is refused.
        reuse_streams: whether a connection carries other requests after a stream; not with servers that close it then
            without having said so.
    """

    def __init__(
        self, url: str, api_key: str | None, *, kind: str, key_variable: str, reuse_streams: bool = True
    ) -> None:
        self.url = url
        self.reuse_streams = reuse_streams
        self._kind = kind
        self._key_variable = key_variable
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
                f"Check that the endpoint is the root URL of a server of {self._kind}, such as http://host:8000.",
            )
        return body

    async def find(self, path: str) -> bytes | None:
        """The body at ``path``; ``None`` if the server has no such page.

        Raises:
            EngineError: the server refuses.
            ServerDownError: it does not answer.
        """
        status, body = await self._ask("GET", path, None)
        if status in _NO_SUCH_PAGE:
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
            response = await self._request("POST", path, body, last=not self.reuse_streams)
            if response.status != 200:
                raise self._refusal(response.status, await self._body(response))
            if response.content_type in _NO_STREAMS:
                raise EngineError(
                    f"The server at {self.url} streams no events at {path}, it answers: "
                    f"{error_message(await self._body(response))}",
                    f"Check that the endpoint is the root URL of a server of {self._kind}.",
                )
            stream = EventStream()
            async for received in response.content.iter_any():
                at_s = time.perf_counter()
                for data in self._fed(stream, received):
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
                return response.status, await asyncio.wait_for(self._body(response), _QUESTION_S)
        except _Failures as error:
            raise self._failure(error) from error

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, last: bool = False
    ) -> aiohttp.ClientResponse:
        data = None if body is None else msgspec.json.encode(body)
        headers = ({} if body is None else {"Content-Type": "application/json"}) | (
            {"Connection": "close"} if last else {}
        )
        # A redirect could carry the key to somewhere else.
        return await self._session.request(method, self.url + path, data=data, headers=headers, allow_redirects=False)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """All of an answer, which may be no larger than is sensible: an endless one would fill the memory."""
        body = bytearray()
        async for received in response.content.iter_any():
            body += received
            if len(body) > MOST_BODY_BYTES:
                raise EngineError(
                    f"The server at {self.url} answers with more than {MOST_BODY_BYTES:,} bytes.",
                    f"Check that the endpoint is the root URL of a server of {self._kind}.",
                )
        return bytes(body)

    def _fed(self, stream: EventStream, received: bytes) -> list[bytes]:
        try:
            return stream.feed(received)
        except ValueError as error:
            raise EngineError(
                f"The server at {self.url} streams {error}.",
                f"Check that the endpoint is the root URL of a server of {self._kind}.",
            ) from None

    def _failure(self, error: Exception) -> ServerDownError:
        return ServerDownError(
            f"The server at {self.url} does not answer: {type(error).__name__}: {error}.",
            "Check that it is running and that the URL is right.",
        )

    def _refusal(self, status: int, body: bytes) -> EngineError:
        if status in (401, 403):
            return EngineError(
                f"The server at {self.url} does not accept the API key, or wants one (HTTP {status}).",
                f"Put its key into the environment variable {self._key_variable}.",
            )
        message = error_message(body)
        if status >= 500:
            return ServerDownError(
                f"The server at {self.url} failed with HTTP {status}: {message}", "Its own log says more."
            )
        return RefusedError(
            f"The server at {self.url} refused a request with HTTP {status}: {message}",
            "Mend what its message names.",
            status,
        )


def error_message(body: bytes) -> str:
    """What an error answer says: its message if it is in a shape that servers use, else the text, shortened."""
    text = body.decode(errors="replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        return f"(an HTML page: {' '.join(title.group(1).split())})" if title else "(an HTML page)"
    try:
        message = _message(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = ""
    return _shortened(message or text) or "(nothing)"


def _shortened(text: str) -> str:
    """The beginning of a text, and how much more there is."""
    rest = len(text) - _SHOWN_CHARACTERS
    return f"{text[:_SHOWN_CHARACTERS]}… ({rest:,} more characters)" if rest > 0 else text


def _message(answer: Any) -> str:
    """The first text under the names by which servers give one."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        return next((text for name in ("error", "message", "detail") if (text := _message(answer.get(name)))), "")
    return ""
