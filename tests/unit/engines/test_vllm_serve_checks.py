"""What is refused before any server is asked, and how a server of ours is started."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import pytest

from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.engines import vllm_serve
from pytest_speedbench.engines.http import packages
from pytest_speedbench.engines.http.client import ServerClient, ServerDownError
from pytest_speedbench.engines.http.endpoint import root_url
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.vllm_serve.endpoint import KEY_VARIABLE, endpoint_key, own_key
from pytest_speedbench.engines.vllm_serve.launch import flags, start_server
from pytest_speedbench.errors import EngineError

URL = "http://localhost:8000"


def pair(endpoint: str | None = URL, **others: object) -> Pair:
    return Pair("served", "vllm-serve", "bundled:target", Drafter.parse("ngram"), endpoint=endpoint, **others)  # type: ignore[arg-type]


def test_an_endpoint_needs_no_vllm_here() -> None:
    assert engine_factory("vllm-serve") is vllm_serve
    vllm_serve.check(pair())


@pytest.mark.parametrize("text", [URL, URL + "/", URL + "/v1", URL + "/v1/"])
def test_the_root_of_an_endpoint(text: str) -> None:
    assert root_url(text, KEY_VARIABLE) == URL


@pytest.mark.parametrize("text", ["localhost:8000", "ftp://host", "http://", "http://host:port", "http://host:99999"])
def test_an_endpoint_that_is_no_url(text: str) -> None:
    with pytest.raises(EngineError, match="is no URL"):
        vllm_serve.check(pair(text))


@pytest.mark.parametrize("text", ["http://user:hidden@host", "https://host/v1?key=hidden", "https://host/#hidden"])
def test_secrets_in_an_endpoint_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(EngineError, match="VLLM_API_KEY") as caught:
        vllm_serve.check(pair(text))
    assert "hidden" not in str(caught.value)


def test_what_a_running_server_cannot_be_told() -> None:
    with pytest.raises(EngineError, match=r"engine arguments \(dtype, max_num_seqs\) for a server that is running"):
        vllm_serve.check(pair(engine_args={"max_num_seqs": 4, "dtype": "float32"}))
    with pytest.raises(EngineError, match="names an interpreter"):
        vllm_serve.check(pair(python="/usr/bin/python3"))


@pytest.mark.parametrize("package", ["aiohttp", "prometheus_client"])
def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = util.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(EngineError, match=f"needs the package {package.replace('_', '-')}"):
        vllm_serve.check(pair())


def test_checking_imports_no_http_client() -> None:
    code = (
        "import sys; from pytest_speedbench.config import Pair; from pytest_speedbench.engines import vllm_serve;"
        f"vllm_serve.check(Pair('p', 'vllm-serve', 'bundled:target', endpoint={URL!r}));"
        "print(sorted({'aiohttp', 'prometheus_client', 'torch'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_which_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "general")
    assert (endpoint_key(), own_key()) == ("general", None)
    monkeypatch.setenv("VLLM_API_KEY", "special")
    assert (endpoint_key(), own_key()) == ("special", "special")
    monkeypatch.setenv("VLLM_API_KEY", "")
    assert (endpoint_key(), own_key()) == ("general", None)


def test_arguments_become_flags() -> None:
    arguments = {
        "model": "/models/a b",
        "tensor_parallel_size": 2,
        "enable_prefix_caching": False,
        "enforce_eager": True,
        "disable_log_stats": False,
        "quantization": None,
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
        "allowed_media_domains": ["a", "b"],
    }
    assert flags(arguments) == [
        *("--model", "/models/a b", "--tensor-parallel-size", "2", "--no-enable-prefix-caching", "--enforce-eager"),
        *("--speculative-config", '{"method": "ngram", "num_speculative_tokens": 3}'),
        *("--allowed-media-domains", "a", "b"),
    ]


def test_an_argument_that_is_not_the_users() -> None:
    with pytest.raises(EngineError, match="port is set by the vllm-serve engine"):
        start_server(None, {"model": "m", "port": 80})


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not run"):
        start_server(str(tmp_path / "python"), {"model": "m"})


@pytest.mark.parametrize(
    ("last_words", "cause"),
    [
        ("ValueError: max_model_len is too large", "exit code 7: ValueError: max_model_len is too large"),
        ("api_server.py: error: unrecognized arguments: --foo", "unrecognized arguments: --foo"),
    ],
)
def test_a_server_that_dies_is_noticed_at_once(tmp_path: Path, last_words: str, cause: str) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\necho '{last_words}' >&2\nexit 7\n", encoding="utf-8")
    stand_in.chmod(0o755)

    async def session() -> None:
        server = start_server(str(stand_in), {"model": "m"})
        client = ServerClient(server.url, None, kind="vLLM", key_variable=KEY_VARIABLE)
        try:
            await server.wait_until_ready(client)
        finally:
            await client.close()
            await server.process.stop()

    began = time.monotonic()
    with pytest.raises(EngineError, match=cause) as caught:
        asyncio.run(session())
    assert last_words in caught.value.output
    assert time.monotonic() - began < 5


def test_a_server_that_dies_under_way_says_why(tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\necho 'RuntimeError: out of memory'\nexec sleep 0.3\n", encoding="utf-8")
    stand_in.chmod(0o755)

    async def session() -> EngineError:
        server = start_server(str(stand_in), {"model": "m"})
        try:
            return await server.explain(ServerDownError("The server does not answer.", "Look."))
        finally:
            await server.process.stop()

    error = asyncio.run(session())
    assert "ended with exit code 0 while needed" in error.problem
    assert "RuntimeError: out of memory" in error.problem


_STARTS_A_SERVER = """
import sys, time
from pytest_speedbench.engines.vllm_serve.launch import start_server
print(start_server(sys.argv[1], {"model": "m"}).process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_server_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    stand_in.chmod(0o755)
    command = [sys.executable, "-c", _STARTS_A_SERVER, str(stand_in)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        deadline = time.monotonic() + 10
        while _command(server) != b"sleep" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _command(server) == b"sleep"
        tests.kill()
    while _command(server) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _command(server) == b""


def _command(pid: int) -> bytes:
    """What a process runs; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return b""
