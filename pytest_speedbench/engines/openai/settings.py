"""The engine arguments of an OpenAI-compatible server: how it is asked, not what it is told to load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.http.endpoint import SERVED_NAME, api_key
from pytest_speedbench.engines.openai.dialects import CHAT_DIALECTS, DIALECTS
from pytest_speedbench.errors import EngineError, closest

OURS = frozenset(
    {"model", "prompt", "messages", "max_tokens", "n", "stream", "stream_options"}
    | {"temperature", "top_p", "seed", "ignore_eos"}
    # The same by other names, which servers put before ours.
    | {"best_of", "echo", "input_ids", "max_completion_tokens", "max_new_tokens", "n_predict", "prompt_token_ids"}
    | {"sampling_params", "sampling_seed", "suffix", "use_beam_search"}
    # How answers are read.
    | {field for dialect in (*DIALECTS, *CHAT_DIALECTS) for field in dialect.fields}
)
"""Fields of a request that say what is measured, and how the answer is read."""
ROUTES = ("completions", "chat")
_WORDS = {str: "a text", int: "a whole number above 0", Mapping: "a table"}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How to ask a server.

    Attributes:
        api_key_env: the environment variable that holds the server's key.
        context_tokens: the longest sequence it takes, prompt and output together, if it does not say.
        max_concurrency: requests that it decodes at once, if it does not say; ``None`` for no limit.
        extra_body: fields added to every request.
        route: ``completions`` or ``chat``; ``None`` for chat only if there is no other way.
        served_model_name: the model to ask, where a server has several; ``None`` for the only one.
    """

    api_key_env: str = "OPENAI_API_KEY"
    context_tokens: int | None = None
    max_concurrency: int | None = None
    extra_body: Mapping[str, EngineArg] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    route: str | None = None
    served_model_name: str | None = None

    @property
    def api_key(self) -> str | None:
        """The key, from the environment; ``None`` without one."""
        return api_key((self.api_key_env,))


_KINDS: Mapping[str, type] = MappingProxyType(
    {
        "api_key_env": str,
        "context_tokens": int,
        "max_concurrency": int,
        "route": str,
        "served_model_name": str,
        "extra_body": Mapping,
    }
)


def read_settings(pair: Pair) -> ServerSettings:
    """A pair's engine arguments, checked.

    Raises:
        EngineError: an unknown argument, a value of another kind, a variable that is not set, or a field that is ours.
    """
    known = [entry.name for entry in fields(ServerSettings)]
    for name, value in pair.engine_args.items():
        if name not in known:
            raise EngineError(
                f"There is no engine argument {name!r} of the openai engine.",
                f"{closest(name, known)}Choose one of: {', '.join(known)}; the rest is told to the server.",
            )
        kind = _KINDS[name]
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 1):
            raise EngineError(f"The engine argument {name} is {value!r}.", f"Give {_WORDS[kind]}.")
    if pair.engine_args.get("route", ROUTES[0]) not in ROUTES:
        raise EngineError(
            f"The engine argument route is {pair.engine_args['route']!r}.", f"Write one of: {', '.join(ROUTES)}."
        )
    settings = ServerSettings(**pair.engine_args)  # type: ignore[arg-type]
    if "api_key_env" in pair.engine_args and not os.environ.get(settings.api_key_env):
        raise EngineError(
            f"The environment variable {settings.api_key_env} holds no API key.",
            "Set it, or correct the engine argument api_key_env, which is the variable's name and not the key.",
        )
    if taken := sorted(settings.extra_body.keys() & OURS):
        instead = f"; the engine argument {SERVED_NAME} says which model is asked" if "model" in taken else ""
        raise EngineError(
            f"The field {taken[0]} in extra_body is set by the measurement.", f"Leave it out of extra_body{instead}."
        )
    return settings
