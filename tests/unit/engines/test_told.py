"""What a pair says of every engine alike, and what becomes of what it says for one engine only."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import EngineFactory, EngineInfo
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.told import check_told, in_own_words
from pytest_speedbench.errors import EngineError

ENDPOINT = "http://localhost:8000"
INFO = EngineInfo("vllm", "1", {"dtype": "float32", "tensor_parallel_size": 2}, "CPU", 1, None, None, 99, 4096, (0,))


def pair(engine: str, **rest: Any) -> Pair:
    return Pair("mine", engine, "/m", **rest)


def told(asked: Pair) -> dict[str, object]:
    return dict(in_own_words(asked, engine_factory(asked.engine)).engine_args)


@pytest.mark.parametrize(
    ("engine", "args"),
    [
        ("vllm", {"dtype": "float32", "tensor_parallel_size": 2, "max_model_len": 512}),
        ("vllm-serve", {"dtype": "float32", "tensor_parallel_size": 2, "max_model_len": 512}),
        ("sglang", {"dtype": "float32", "tp_size": 2, "context_length": 512}),
        ("sglang-serve", {"dtype": "float32", "tp_size": 2, "context_length": 512}),
        ("trtllm", {"dtype": "float32", "tensor_parallel_size": 2, "max_seq_len": 512}),
        ("trtllm-serve", {"dtype": "float32", "tensor_parallel_size": 2, "max_seq_len": 512}),
    ],
)
def test_every_engine_is_told_in_its_own_words(engine: str, args: dict[str, object]) -> None:
    asked = pair(engine, dtype="float32", tensor_parallel=2, context_tokens=512, engine_args={"seed": 1})
    assert told(asked) == {**args, "seed": 1}


def test_an_engine_of_one_process_has_no_tensor_parallelism() -> None:
    assert told(pair("transformers", dtype="bfloat16", tensor_parallel=1)) == {"dtype": "bfloat16"}
    with pytest.raises(EngineError, match=r"The transformers engine has no tensor_parallel, and the pair says 2\."):
        told(pair("transformers", tensor_parallel=2))


@pytest.mark.parametrize("engine", ["vllm-serve", "sglang-serve", "trtllm-serve", "llamacpp"])
def test_a_server_that_runs_already_is_told_nothing(engine: str) -> None:
    assert told(pair(engine, dtype="float32", context_tokens=512, endpoint=ENDPOINT)) == {}


def test_how_a_server_is_asked_can_be_said_of_one_that_runs() -> None:
    assert told(pair("openai", dtype="float32", context_tokens=512, endpoint=ENDPOINT)) == {"context_tokens": 512}


@pytest.mark.parametrize("same", ["float32", "float", "torch.float32"])
def test_the_same_may_be_said_twice(same: str) -> None:
    assert told(pair("vllm", dtype="float32", engine_args={"dtype": same})) == {"dtype": same}


@pytest.mark.parametrize(
    ("setting", "args", "words"),
    [
        ({"dtype": "float32"}, {"dtype": "half"}, "says dtype = float32, and the engine argument dtype says half"),
        ({"tensor_parallel": 2}, {"tensor_parallel_size": 4}, "the engine argument tensor_parallel_size says 4"),
        ({"context_tokens": 512}, {"max_model_len": 1024}, "the engine argument max_model_len says 1024"),
    ],
)
def test_saying_it_otherwise_is_refused(setting: dict[str, Any], args: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        told(pair("vllm", engine_args=args, **setting))


def test_an_engine_that_says_nothing_of_itself_is_not_trusted_to_listen() -> None:
    silent = cast("EngineFactory", SimpleNamespace(check=lambda _: None, create=lambda _: None))
    assert in_own_words(pair("theirs"), silent).engine_args == {}
    assert in_own_words(pair("theirs", dtype="auto"), silent).engine_args == {}
    with pytest.raises(EngineError, match=r"'theirs' does not say how it is told the pair's dtype\. .*own argument"):
        in_own_words(pair("theirs", dtype="float32"), silent)


@pytest.mark.parametrize("engine", ["transformers", "vllm", "sglang", "trtllm"])
@pytest.mark.parametrize("where", [{"endpoint": ENDPOINT}, {"command": "serve --port {port}"}])
def test_an_engine_that_is_no_server_does_not_pass_over_one(engine: str, where: dict[str, str]) -> None:
    with pytest.raises(EngineError, match=f"names {next(iter(where))}, which the {engine} engine does not read"):
        told(pair(engine, **where))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"dtype": "bfloat16"}, "says dtype = bfloat16, and the engine runs with float32"),
        ({"tensor_parallel": 4}, "says tensor_parallel = 4, and the engine runs with 2"),
        ({"context_tokens": 8192}, "says context_tokens = 8192, and the engine runs with 4096"),
    ],
)
def test_an_engine_that_does_otherwise_is_refused(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_told(pair("vllm-serve", endpoint=ENDPOINT, **setting), engine_factory("vllm-serve"), INFO)


def test_one_that_does_as_told_or_does_not_say_is_taken() -> None:
    asked = pair("vllm-serve", dtype="float32", tensor_parallel=2, context_tokens=4096, endpoint=ENDPOINT)
    check_told(asked, engine_factory("vllm-serve"), INFO)
    check_told(asked, engine_factory("vllm-serve"), replace(INFO, args={}))
    check_told(replace(asked, dtype="auto"), engine_factory("vllm-serve"), INFO)
