"""The keys of SGLang's servers, from the environment. Imports no HTTP client."""

from __future__ import annotations

from pytest_speedbench.engines.http.endpoint import api_key

KEY_VARIABLE = "SGLANG_API_KEY"


def endpoint_key() -> str | None:
    """The key for a server that somebody else started; ``None`` without one."""
    return api_key((KEY_VARIABLE, "OPENAI_API_KEY"))
