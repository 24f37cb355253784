"""A server that somebody else started: its URL and its key. Imports no HTTP client."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from pytest_speedbench.config import Pair
from pytest_speedbench.errors import EngineError

SERVED_NAME = "served_model_name"
"""The engine argument that says which of a server's models is asked."""


def root_url(endpoint: str, key_variable: str) -> str:
    """The server's root, without a slash at its end; an endpoint may end in ``/v1``.

    Args:
        endpoint: what the user wrote.
        key_variable: the environment variable for a key, for the message to those who write it into the URL.

    Raises:
        EngineError: it is no plain http or https URL.
    """
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise EngineError(f"The endpoint {endpoint!r} is no URL.", "Write one such as http://localhost:8000.")
    if parts.username or parts.password or parts.query or parts.fragment:
        # Not shown: it may hold a key.
        raise EngineError(
            f"The endpoint at {parts.hostname} has more than an address and a path in its URL.",
            f"Leave the rest out; a key goes into the environment variable {key_variable}.",
        )
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/")


def check_endpoint(pair: Pair, key_variable: str) -> None:
    """Refuse what a server that is running already cannot be told.

    Raises:
        EngineError: no URL, or engine arguments or an interpreter beside it.
    """
    if pair.endpoint is None:
        return
    root_url(pair.endpoint, key_variable)
    if others := sorted(pair.engine_args.keys() - {SERVED_NAME}):
        names = ", ".join(others)
        raise EngineError(
            f"The pair {pair.name!r} has engine arguments ({names}) for a server that is running already.",
            "Start the server with them and leave them out here, or leave the endpoint out.",
        )
    check_no_interpreter(pair)


def check_no_interpreter(pair: Pair) -> None:
    """An interpreter is for what we start.

    Raises:
        EngineError: the pair has an endpoint and an interpreter.
    """
    if pair.endpoint is not None and pair.python is not None:
        raise EngineError(
            f"The pair {pair.name!r} names an interpreter for a server that is running already.",
            "Leave out the interpreter or the endpoint.",
        )


def api_key(variables: Sequence[str]) -> str | None:
    """The key in the first of these environment variables that has one; ``None`` without."""
    return next((key for name in variables if (key := os.environ.get(name))), None)
