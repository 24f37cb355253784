"""The trtllm-serve adapter tells the server what the facts allow, and asks it in their words."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines import installed as packages
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, ReadsBack, Request
from pytest_speedbench.engines.openai.payload import Choice
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.trtllm import gpu
from pytest_speedbench.engines.trtllm.speculation import CONFIGS, backend
from pytest_speedbench.engines.trtllm_serve.command import server_arguments, write_arguments
from pytest_speedbench.errors import EngineError
from tests.contracts.contract import load
from tests.contracts.fakes.trtllm_serve import load_model
from tests.contracts.trtllm_stand_in import HEAD, MEDUSA
from tests.mock_server import TOKENIZER, scripted

CONTRACT = load("trtllm")
ROOT = Path(__file__).resolve().parents[2]
PROMPT = TOKENIZER.encode("Count to six:").ids


class Program:
    """The stand-in for the program, beside an interpreter of its own.

    Attributes:
        python: that interpreter.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        binaries = folder / "bin"
        binaries.mkdir()
        self.python = str(binaries / "python")
        (binaries / "python").symlink_to(sys.executable)
        program = binaries / "trtllm-serve"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.contracts.fakes.trtllm_serve "$@"\n')
        program.chmod(0o755)
        os.environ["FAKE_TRTLLM_SERVE_LOG"] = str(self._log)

    def lines(self, what: str) -> list[Any]:
        """What it was told, or asked."""
        rows = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [row[what] for row in rows if what in row]


@pytest.fixture(name="program")
def _program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAKE_TRTLLM_SERVE_LOG", "")
    found = {"tensorrt_llm": "1.2.0", "pytest-speedbench": "1"}
    monkeypatch.setattr(packages, "installed", lambda *_: found)
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path,))
    monkeypatch.setattr(gpu, "GPU_FOLDER", tmp_path / "gpus")
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t A GPU\nIRQ:   100\n")
    return Program(tmp_path)


def pair(program: Program, drafter: str | None = f"eagle3:{HEAD}", **args: EngineArg) -> Pair:
    parsed = Drafter.parse(drafter) if drafter else None
    return Pair("p", "trtllm-serve", "bundled:target", parsed, args, program.python)


def run(measured: Pair, samplings: Sequence[Sampling]) -> tuple[EngineInfo, list[tuple[tuple[int, ...], Finish]]]:
    """Start, ask the same prompt with every sampling, and stop."""

    async def session() -> tuple[EngineInfo, list[tuple[tuple[int, ...], Finish]]]:
        engine = engine_factory(measured.engine).create(measured)
        answers = []
        try:
            info = await engine.start()
            assert isinstance(engine, ReadsBack)
            assert await engine.prompt_as_read(PROMPT) is None
            for sampling in samplings:
                *emissions, finish = [item async for item in engine.generate(Request("r", PROMPT, sampling))]
                assert isinstance(finish, Finish)
                ids = tuple(t for e in emissions if isinstance(e, Emission) for t in e.token_ids)
                answers.append((ids, finish))
            return info, answers
        finally:
            await engine.stop()

    return asyncio.run(session())


def test_a_server_of_ours_is_told_asked_and_read(program: Program) -> None:
    info, answers = run(pair(program, max_batch_size=8), [Sampling(64)])
    assert answers[0][0] == tuple(token for step in scripted() for token in step)
    assert answers[0][1].acceptance == AcceptanceRecord(3, (2, 0, 1, 1), None, None, None, AcceptanceSource.STREAM)
    assert (info.name, info.version, info.device, info.max_concurrency) == (
        "trtllm-serve",
        "TensorRT-LLM 1.2.0",
        "A GPU",
        8,
    )
    told = program.lines("told")[0]
    assert told["arguments"]["kv_cache_config"] == {"enable_block_reuse": False}
    assert told["arguments"]["speculative_config"] == {
        "decoding_type": "Eagle",
        "max_draft_len": 3,
        "speculative_model_dir": str(HEAD),
    }
    assert "enable_iter_perf_stats" not in told["arguments"]
    assert info.args["speculative_config"] == {"decoding_type": "Eagle", "max_draft_len": 3}
    assert not Path(told["options"]["--extra_llm_api_options"]).exists()
    options = CONTRACT.fact("trtllm-serve", "1.2")
    assert set(told["options"]) == options.used
    fields = CONTRACT.fact("POST /v1/completions", "1.2")
    asked = [body for body in program.lines("asked") if "detokenize" in body]
    assert {name for body in asked for name in body} == fields.used - {"seed"}  # greedy decoding draws nothing


def test_a_server_of_ours_is_sampled_only_where_it_samples(program: Program) -> None:
    sampled = Sampling(64, temperature=0.7, seed=3)
    with pytest.raises(EngineError, match=r"TensorRT-LLM 1\.2 does not sample this pair"):
        run(pair(program), [sampled])
    run(pair(program, speculative_config={"eagle3_one_model": False}), [sampled, Sampling(64)])
    sampling, greedy = [(row.get("seed"), row["temperature"], row["top_p"]) for row in program.lines("asked")[-2:]]
    assert (sampling, greedy) == ((3, 0.7, 1.0), (None, 0.0, 0.0))


@pytest.mark.parametrize(
    ("drafter", "args", "told"),
    [
        (None, {}, None),
        ("draft_model:bundled:draft", {}, "DraftTarget"),
        ("eagle3:bundled:eagle3", {"max_batch_size": 4}, "Eagle"),
        ("mtp", {}, "MTP"),
        ("ngram", {"speculative_config": {"is_keep_all": False}}, "NGram"),
        (f"medusa:{MEDUSA}", {"backend": "tensorrt"}, "Medusa"),
        ("eagle:bundled:draft", {"backend": "trt"}, "Eagle"),
    ],
)
def test_every_drafter_is_told_in_words_that_the_server_takes(
    tmp_path: Path, drafter: str | None, args: dict[str, EngineArg], told: str | None
) -> None:
    measured = Pair("p", "trtllm-serve", "bundled:target", Drafter.parse(drafter) if drafter else None, args)
    write_arguments(server_arguments(measured, (1, 2)), tmp_path / "options.yaml")
    arguments = json.loads((tmp_path / "options.yaml").read_text(encoding="utf-8"))
    assert arguments.get("speculative_config", {}).get("decoding_type") == told
    load_model(backend(measured), arguments)


def test_the_facts_have_every_decoding_type_that_can_be_told() -> None:
    for variant in CONTRACT.variants:
        fact = CONTRACT.fact("speculative_config.decoding_type", variant)
        assert {config.decoding_type for config in CONFIGS.values()} == fact.used


def test_the_fields_that_are_read_of_an_answer_are_in_the_facts() -> None:
    for variant in CONTRACT.variants:
        fact = CONTRACT.fact("choice of a streamed completion", variant)
        assert fact.used <= set(Choice.__struct_fields__)


def test_what_the_server_complains_of_is_in_the_error(program: Program) -> None:
    with pytest.raises(EngineError, match=r"The TensorRT-LLM server did not start.*LLM got invalid argument: max_sise"):
        run(pair(program, None, max_sise=3), [])


def test_an_environment_without_the_program_is_refused(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    Path(program.python).with_name("trtllm-serve").unlink()
    with pytest.raises(EngineError, match="There is no trtllm-serve beside the interpreter"):
        engine_factory("trtllm-serve").check(pair(program))


def test_a_server_that_is_running_already_is_told_nothing(program: Program) -> None:
    measured = Pair("p", "trtllm-serve", "bundled:target", Drafter.parse("suffix"), endpoint="http://localhost:1")
    engine_factory("trtllm-serve").check(measured)
    with pytest.raises(EngineError, match=r"has engine arguments \(max_batch_size\) for a server that is running"):
        engine_factory("trtllm-serve").check(
            Pair("p", "trtllm-serve", "bundled:target", None, {"max_batch_size": 3}, endpoint="http://localhost:1")
        )
    assert program.python
