"""Any OpenAI-compatible server: at an endpoint, or started from the pair's command. Imports no HTTP client itself."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Engine
from pytest_speedbench.engines.http.command import check_command, words_of
from pytest_speedbench.engines.http.endpoint import check_no_interpreter, root_url
from pytest_speedbench.engines.http.packages import check_packages
from pytest_speedbench.engines.lossy import refuse_command, refuse_environment
from pytest_speedbench.engines.openai.lossy import SETTINGS
from pytest_speedbench.engines.openai.settings import read_settings
from pytest_speedbench.engines.told import Told
from pytest_speedbench.errors import EngineError

TOLD = Told(context_tokens="context_tokens", reads=("python", "endpoint", "command"), asks_only=True)


def check(pair: Pair) -> None:
    """Refuse what can be known without asking any server.

    Raises:
        EngineError: with the way out.
    """
    check_packages("openai")
    settings = read_settings(pair)
    if (pair.endpoint is None) == (pair.command is None):
        given = "neither an endpoint nor a command" if pair.endpoint is None else "an endpoint and a command"
        raise EngineError(
            f"The pair {pair.name!r} has {given} for the openai engine.",
            "Give one of the two: the URL of a server that is running, or the command line that starts one.",
        )
    if pair.endpoint is not None:
        root_url(pair.endpoint, settings.api_key_env)
        check_no_interpreter(pair)
    else:
        check_command(pair)
        refuse_command(SETTINGS, words_of(pair))
        refuse_environment("The server", SETTINGS)


def create(pair: Pair) -> Engine:
    """Make an engine for ``pair`` that is not started yet.

    Raises:
        EngineError: as from :func:`check`.
    """
    check(pair)
    from pytest_speedbench.engines.openai.engine import OpenAIEngine

    return OpenAIEngine(pair)
