"""What is refused before a ``llama-server`` is started, and how one is started."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair
from pytest_speedbench.engines import llamacpp
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.llamacpp.arguments import arguments, flags
from pytest_speedbench.engines.llamacpp.binary import devices, known_flags
from pytest_speedbench.engines.llamacpp.endpoint import endpoint_key, own_key
from pytest_speedbench.engines.llamacpp.launch import root_cause
from pytest_speedbench.engines.llamacpp.slots import read_saved
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.errors import EngineError

HELP = """
-c,    --ctx-size N                     size of the prompt context
-np,   --parallel N                     number of server slots
--cache-prompt, --no-cache-prompt       whether to enable prompt caching
--metrics                               enable prometheus compatible metrics endpoint
--override-kv KEY=TYPE:VALUE,...        override model metadata
--spec-draft-n-max N                    number of tokens to draft
--spec-type none,draft-simple           types of speculative decoding
"""
DEVICES = """Available devices:
  CUDA0: NVIDIA H100 80GB HBM3 (81089 MiB, 80500 MiB free)
  CUDA1: NVIDIA H100 80GB HBM3 (81089 MiB, 80500 MiB free)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that describes itself as ``llama-server`` does."""
    return script(tmp_path / "llama-server", HELP)


def script(path: Path, help_text: str, device_text: str = DEVICES) -> Path:
    path.write_text(
        f"#!/bin/sh\nif [ $1 = --help ]; then cat <<'E'\n{help_text}E\nelse cat <<'E'\n{device_text}E\nfi\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def pair(
    program: Path | None = None, gguf: Path | None = None, drafter: str | None = "ngram", **engine_args: EngineArg
) -> Pair:
    given: dict[str, EngineArg] = {"binary": str(program)} if program else {}
    given |= {"gguf": str(gguf), "draft_gguf": str(gguf)} if gguf else {}
    return Pair(
        "p", "llamacpp", "bundled:target", Drafter.parse(drafter, 3) if drafter else None, {**given, **engine_args}
    )


def served(endpoint: str | None = "http://localhost:8080", **others: object) -> Pair:
    return Pair("p", "llamacpp", "bundled:target", Drafter.parse("ngram"), endpoint=endpoint, **others)  # type: ignore[arg-type]


def test_an_endpoint_needs_no_program_here() -> None:
    assert engine_factory("llamacpp") is llamacpp
    llamacpp.check(served())


def test_a_pair_that_fits(program: Path, gguf: Path) -> None:
    llamacpp.check(pair(program, gguf, "draft_model:bundled:draft", ctx_size=4096, cache_prompt=False))


def test_no_program() -> None:
    with pytest.raises(EngineError, match="'/nowhere/llama-server' is not installed"):
        llamacpp.check(pair(Path("/nowhere/llama-server")))


def test_a_program_that_is_too_old(tmp_path: Path, gguf: Path) -> None:
    old = script(tmp_path / "old", HELP.replace("--spec-type none,draft-simple", "--draft-max N"))
    with pytest.raises(EngineError, match="knows no --spec-type: it is too old"):
        llamacpp.check(pair(old, gguf))


def test_a_program_that_fails(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(EngineError, match="does not run"):
        known_flags(str(broken))


@pytest.mark.parametrize("drafter", ["suffix", "medusa:bundled:draft", "eagle:bundled:draft"])
def test_a_drafter_that_llamacpp_lacks(program: Path, gguf: Path, drafter: str) -> None:
    with pytest.raises(EngineError, match=r"no drafter of the method .*Use one of: draft_model, eagle3"):
        llamacpp.check(pair(program, gguf, drafter))


def test_a_target_that_is_no_target(program: Path, gguf: Path) -> None:
    with pytest.raises(EngineError, match="is an EAGLE-3 head"):
        llamacpp.check(pair(program, gguf, "draft_model:bundled:eagle3"))


def test_arguments_that_the_program_does_not_know(program: Path, gguf: Path) -> None:
    with pytest.raises(EngineError, match=r"knows no argument 'ctx_sise' \(--ctx-sise\)\. Did you mean 'ctx_size'"):
        llamacpp.check(pair(program, gguf, ctx_sise=4096))


@pytest.mark.parametrize("name", ["spec_type", "spec_draft_n_max", "port", "model_draft", "api_key"])
def test_arguments_that_the_pair_says(program: Path, gguf: Path, name: str) -> None:
    with pytest.raises(EngineError, match=f"The engine argument {name} is set by"):
        llamacpp.check(pair(program, gguf, **{name: "1"}))


def test_files_that_are_not_there(program: Path, gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"There is no file '.*gone\.gguf'"):
        llamacpp.check(pair(program, tmp_path / "gone.gguf"))
    with pytest.raises(EngineError, match=r"'bundled:target' should hold one GGUF file, and it holds none"):
        llamacpp.check(pair(program))
    with pytest.raises(EngineError, match="'bundled:draft' should hold one GGUF file"):
        llamacpp.check(pair(program, gguf, "draft_model:bundled:draft", draft_gguf=None))


def test_what_does_not_go_together(program: Path) -> None:
    command = f"{program} --port {{port}}"
    llamacpp.check(served(None, command=command))
    with pytest.raises(EngineError, match="an endpoint and a command"):
        llamacpp.check(served(command=command))
    with pytest.raises(EngineError, match=r"engine arguments \(ctx_size\) beside its command"):
        llamacpp.check(served(None, command=command, engine_args={"ctx_size": 1}))
    with pytest.raises(EngineError, match="no Python program"):
        llamacpp.check(served(None, python="/usr/bin/python3"))
    with pytest.raises(EngineError, match="for a server that is running already"):
        llamacpp.check(served(engine_args={"ctx_size": 1}))


def test_the_command_line(gguf: Path) -> None:
    target = open_checkpoint("bundled:target", download=True)
    table = arguments(pair(None, gguf, "draft_model:bundled:draft", parallel=4, cache_prompt=False), target)
    assert flags(table) == [
        *("--parallel", "4", "--cache-ram", "0", "--metrics"),
        *("--override-kv", "tokenizer.ggml.model=str:llama"),
        *("--spec-type", "draft-simple", "--spec-draft-n-max", "3", "--no-cache-prompt"),
    ]
    assert flags(arguments(pair(None, gguf), target))[-6:] == [
        *("--spec-type", "ngram-simple"),
        *("--spec-ngram-simple-size-n", "3", "--spec-ngram-simple-size-m", "3"),
    ]
    assert "spec_type" not in arguments(pair(None, gguf, None), target)
    more = arguments(pair(None, gguf, None, override_kv="a.b=int:1"), target)["override_kv"]
    assert more == ["tokenizer.ggml.model=str:llama", "a.b=int:1"]


def test_only_byte_level_tokens_are_read_as_pieces(tmp_path: Path, gguf: Path) -> None:
    folder = tmp_path / "sentencepiece"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text(
        json.dumps({"model": {"type": "BPE", "byte_fallback": True}, "pre_tokenizer": None, "decoder": None}),
        encoding="utf-8",
    )
    target = open_checkpoint(str(folder), download=True)
    assert "override_kv" not in arguments(pair(None, gguf), target)
    given = arguments(pair(None, gguf, override_kv="a.b=int:1"), target)
    assert given["override_kv"] == "a.b=int:1"


def test_devices(tmp_path: Path, program: Path) -> None:
    assert devices(str(program)) == ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3")
    assert devices(str(script(tmp_path / "cpu", HELP, "Available devices:\n  (none)\n"))) == ()


def test_the_first_error_is_the_cause() -> None:
    printed = (
        "0.00.018 I srv    load_model: loading model\n"
        "0.00.030.390 E gguf_init_from_reader: bad GGUF version: 0\n"
        "0.00.036.276 E llama_model_load: error loading model\n"
    )
    assert root_cause(printed) == "gguf_init_from_reader: bad GGUF version: 0"
    assert root_cause("error: invalid argument: --bogus\n") == "invalid argument: --bogus"
    assert root_cause("0.00.018 I srv    listening\n") == ""


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert (endpoint_key(), own_key()) == ("sk-openai", None)
    monkeypatch.setenv("LLAMA_API_KEY", "sk-llama")
    assert (endpoint_key(), own_key()) == ("sk-llama", "sk-llama")


def saved(path: Path, words: list[int]) -> Path:
    path.write_bytes(array("I", words).tobytes() + b"the key-value cache")
    return path


def test_a_saved_slot(tmp_path: Path) -> None:
    magic = 0x67677371
    plain = saved(tmp_path / "plain", [magic, 2, 3, 5, 6, 7])
    assert read_saved(plain, 3) == (5, 6, 7)
    packed = saved(tmp_path / "packed", [magic, 2, 7, 0xFFFFFFFF, 1, 3, 5, 6, 7, 0])
    assert read_saved(packed, 3) == (5, 6, 7)
    with pytest.raises(ValueError, match="it has 3 tokens, and 4 were saved"):
        read_saved(packed, 4)
    with pytest.raises(ValueError, match="the file begins with 0x1"):
        read_saved(saved(tmp_path / "other", [1, 2, 3, 4, 5, 6]), 3)
    with pytest.raises(ValueError, match="cut off"):
        read_saved(saved(tmp_path / "cut", [magic, 2, 300, 4, 5, 6]), 300)
