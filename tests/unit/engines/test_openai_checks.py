"""What is refused before any server is asked, and a server of ours from a command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines import openai
from pytest_speedbench.engines.base import Emission, Request
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.http import packages
from pytest_speedbench.engines.http.command import filled_in
from pytest_speedbench.engines.openai.engine import OpenAIEngine
from pytest_speedbench.engines.openai.settings import ServerSettings, read_settings
from pytest_speedbench.engines.processes import family
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.errors import EngineError
from tests.mock_server import scripted

URL = "http://localhost:8000"
ROOT = Path(__file__).resolve().parents[3]
SERVE = f"{sys.executable} -m tests.mock_server {{port}} vllm"


def pair(drafter: str | None = "ngram", **others: object) -> Pair:
    parsed = Drafter.parse(drafter) if drafter else None
    return Pair("served", "openai", "bundled:target", parsed, **others)  # type: ignore[arg-type]


def refused(words: str, drafter: str | None = "ngram", **others: object) -> None:
    with pytest.raises(EngineError, match=words):
        openai.check(pair(drafter, **others))


def test_an_endpoint_or_a_command() -> None:
    assert engine_factory("openai") is openai
    openai.check(pair(endpoint=URL))
    openai.check(pair(command=SERVE))
    refused("has neither an endpoint nor a command")
    refused("has an endpoint and a command", endpoint=URL, command=SERVE)
    refused("is no URL", endpoint="localhost")
    refused("names an interpreter for a server that is running", endpoint=URL, python=sys.executable)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "is empty"),
        ("serve --port 'x", "cannot be read"),
        (f"{sys.executable} --port 8000", "says nowhere at which port"),
        ("no-such-program --port {port}", "program 'no-such-program' of the command does not run"),
        (f"{sys.executable} {{port}} {{drafter}}", "wants {drafter}, and the pair has none"),
    ],
)
def test_commands_that_start_no_server(command: str, words: str) -> None:
    refused(words, command=command)


def test_a_command_without_a_drafter_has_no_draft_length() -> None:
    refused("wants {draft_length}", None, command=SERVE + " {draft_length}")
    refused("names an interpreter beside its command", command=SERVE, python=sys.executable)


def test_a_command_is_filled_in() -> None:
    speculation = """'{"model": "{drafter}", "num_speculative_tokens": {draft_length}}'"""
    command = f"{sys.executable} -m serve {{model}} --port={{port}} --speculation {speculation}"
    words = filled_in(pair("eagle3:bundled:eagle3", command=command), 4242)
    assert words == [
        *(sys.executable, "-m", "serve", str(BUNDLED_FOLDER / "target"), "--port=4242", "--speculation"),
        f'{{"model": "{BUNDLED_FOLDER / "eagle3"}", "num_speculative_tokens": 3}}',
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"context": 3}, "Did you mean 'context_tokens'?"),
        ({"tensor_parallel_size": 2}, "no engine argument 'tensor_parallel_size'.*told to the server"),
        ({"context_tokens": 0}, "context_tokens is 0. Give a whole number above 0"),
        ({"max_concurrency": True}, "max_concurrency is True"),
        ({"route": "responses"}, "route is 'responses'. Write one of: completions, chat"),
        ({"extra_body": "x"}, "extra_body is 'x'. Give a table"),
        ({"extra_body": {"temperature": 1}}, "temperature in extra_body is set by the measurement"),
        ({"extra_body": {"max_completion_tokens": 9}}, "max_completion_tokens in extra_body is set by the measurement"),
        ({"extra_body": {"n_predict": 9}}, "n_predict in extra_body is set by the measurement"),
        ({"extra_body": {"return_token_ids": False}}, "return_token_ids in extra_body is set by the measurement"),
        ({"extra_body": {"skip_special_tokens": True}}, "skip_special_tokens in extra_body is set by the measurement"),
        ({"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY holds no API key"),
    ],
)
def test_arguments(args: dict[str, EngineArg], words: str) -> None:
    refused(words, endpoint=URL, engine_args=args)


def test_the_key_is_in_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-general")
    monkeypatch.setenv("OTHER_KEY", "sk-other")
    settings = read_settings(pair(engine_args={"api_key_env": "OTHER_KEY", "max_concurrency": 4}))
    assert settings == ServerSettings("OTHER_KEY", None, 4)
    assert settings.api_key == "sk-other"
    assert "sk-" not in repr(settings)
    assert ServerSettings().api_key == "sk-general"


@pytest.mark.parametrize("package", ["aiohttp", "prometheus_client"])
def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = util.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == package else find(name))
    refused(f"needs the package {package.replace('_', '-')}", endpoint=URL)


def test_checking_imports_no_http_client() -> None:
    code = (
        "import sys; from pytest_speedbench.config import Pair; from pytest_speedbench.engines import openai;"
        f"openai.check(Pair('p', 'openai', 'bundled:target', endpoint={URL!r}));"
        "print(sorted({'aiohttp', 'prometheus_client', 'torch', 'tokenizers', 'transformers'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_server_of_ours_is_started_asked_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    async def session() -> list[int]:
        engine = OpenAIEngine(pair("eagle3:bundled:eagle3", command=SERVE))
        try:
            info = await engine.start()
            assert info.device.startswith("unknown (a server of ours, ")
            items = [item async for item in engine.generate(Request("r", (5, 6), Sampling(64)))]
            assert [item.token_ids for item in items if isinstance(item, Emission)] == list(scripted())
            assert engine._server is not None
            process = engine._server.process
        finally:
            await engine.stop()
        return family(process.pid, process._token)

    assert asyncio.run(session()) == []


def test_a_server_of_ours_that_ends_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    async def session(command: str, *, kill: bool) -> None:
        engine = OpenAIEngine(pair("eagle3:bundled:eagle3", command=command))
        try:
            await engine.start()
            if kill:
                assert engine._server is not None
                engine._server.process._process.kill()
            async for _ in engine.generate(Request("r", (5, 6), Sampling(64))):
                pass
        finally:
            await engine.stop()

    with pytest.raises(EngineError, match="server did not start, its process ended with exit code 1: ValueError"):
        asyncio.run(session(f"{sys.executable} -m tests.mock_server no{{port}} vllm", kill=False))
    with pytest.raises(EngineError, match="server ended with exit code -9 while needed"):
        asyncio.run(session(SERVE, kill=True))
