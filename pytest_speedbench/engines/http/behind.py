"""What every engine behind HTTP is: a client of a server, which is ours or somebody else's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.http.client import ServerClient, ServerDownError
from pytest_speedbench.engines.http.own_server import OwnServer
from pytest_speedbench.errors import EngineError


class BehindHttp:
    """An engine behind HTTP, as far as its end is concerned; asking is its subclass's.

    A server of ours is started and stopped; one at ``pair.endpoint`` is only asked.

    Args:
        pair: what to serve, or what is served.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._client: ServerClient | None = None
        self._server: OwnServer | None = None

    @asynccontextmanager
    async def _starting(self) -> AsyncGenerator[None, None]:
        """Around a start: one that fails is stopped, and a server of ours that went down is asked for the cause."""
        try:
            yield
        except ServerDownError as failure:
            explained = await self._explained(failure)
            await self.stop()
            raise explained from failure
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the connections, and stop the server if it is ours."""
        client, self._client = self._client, None
        server, self._server = self._server, None
        try:
            if client is not None:
                await client.close()
        finally:
            if server is not None:
                await server.process.stop()

    def output(self) -> str:
        """What a server of ours printed last."""
        return self._server.process.output() if self._server is not None else ""

    async def _explained(self, failure: ServerDownError) -> EngineError:
        """The failure, with what a server of ours said of its cause."""
        return failure if self._server is None else await self._server.explain(failure)
