"""Synthetic and lossy acceptance: refused wherever a setting of it can be seen, and not where it is at its default."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Pair
from pytest_speedbench.engines import openai
from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.engines.http.own_server import OwnServer, free_port
from pytest_speedbench.engines.llamacpp.lossy import SETTINGS as LLAMACPP
from pytest_speedbench.engines.lossy import (
    LossySetting,
    refuse_arguments,
    refuse_command,
    refuse_environment,
    refuse_printed,
)
from pytest_speedbench.engines.openai.lossy import SETTINGS
from pytest_speedbench.engines.sglang.lossy import SETTINGS as SGLANG
from pytest_speedbench.engines.trtllm.lossy import SETTINGS as TRTLLM
from pytest_speedbench.engines.vllm.lossy import SETTINGS as VLLM
from pytest_speedbench.errors import EngineError

PAIR = Pair("p", "openai", "bundled:target", Drafter(DrafterMethod.NGRAM))

LOSSY: list[tuple[tuple[LossySetting, ...], dict[str, Any]]] = [
    (VLLM, {"speculative_config": {"rejection_sample_method": "synthetic", "synthetic_acceptance_length": 3.0}}),
    (VLLM, {"speculative_config": '{"rejection_sample_method": "fly"}'}),
    (VLLM, {"speculative_config": {"synthetic_acceptance_rates": [0.9, 0.5, 0.2]}}),
    (VLLM, {"speculative_config": {"rejection-sample-method": "not known yet"}}),
    (VLLM, {"speculative_config": {"acceptance_method": "typical_acceptance_sampler"}}),
    (SGLANG, {"speculative_accept_threshold_single": 0.5}),
    (SGLANG, {"speculative_accept_threshold_acc": "0.9"}),
    (TRTLLM, {"speculative_config": {"use_relaxed_acceptance_for_thinking": True}}),
    (TRTLLM, {"speculative_config": {"posterior_threshold": 0.09}}),
    (TRTLLM, {"speculative_config": {"greedy_sampling": False}}),
    (LLAMACPP, {"spec_synth_len": 3.5}),
    (LLAMACPP, {"spec_synth_rates": "0.9,0.5,0.2"}),
]
HARMLESS: list[tuple[tuple[LossySetting, ...], dict[str, Any]]] = [
    (VLLM, {"speculative_config": {"rejection_sample_method": "standard", "synthetic_acceptance_length": None}}),
    (VLLM, {"speculative_config": {"rejection_sample_method": "block"}}),
    (SGLANG, {"speculative_accept_threshold_single": 1.0, "speculative_accept_threshold_acc": 1}),
    (TRTLLM, {"speculative_config": {"use_relaxed_acceptance_for_thinking": False, "relaxed_topk": 10}}),
    (TRTLLM, {"speculative_config": {"greedy_sampling": True, "posterior_threshold": None}}),
    (LLAMACPP, {"spec_synth_len": -1}),
]
COMMANDS = [
    ["llama-server", "--spec-synth-len", "3"],
    ["llama-server", "--spec-synth-rates=0.9,0.8,0.7"],
    ["env", "LLAMA_ARG_SPEC_SYNTH_LEN=3.9", "llama-server"],
    ["vllm", "serve", "m", "--speculative-config", '{"method": "ngram", "rejection_sample_method": "synthetic"}'],
    ["vllm", "serve", "m", "--speculative-config={'rejection_sample_method':'fly'}"],
    ["vllm", "serve", "m", "--speculative-config.rejection_sample_method", "synthetic"],
    ["vllm", "serve", "m", "-sc.rejection-sample-method=synthetic"],
    ["python", "-m", "sglang.launch_server", "--speculative-accept-threshold-single=0.001"],
    ["sh", "-c", "SGLANG_SIMULATE_ACC_LEN=3 python -m sglang.launch_server --speculative-accept-threshold-acc 1.0"],
    ["env", "TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS=2", "trtllm-serve", "m"],
]


@pytest.mark.parametrize(("settings", "arguments"), LOSSY)
def test_an_argument_is_refused(settings: tuple[LossySetting, ...], arguments: dict[str, EngineArg]) -> None:
    with pytest.raises(EngineError, match="its acceptance would say nothing of the drafter"):
        refuse_arguments("X", settings, arguments)


@pytest.mark.parametrize(("settings", "arguments"), HARMLESS)
def test_a_default_is_not(settings: tuple[LossySetting, ...], arguments: dict[str, EngineArg]) -> None:
    refuse_arguments("X", settings, arguments)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_is_refused(words: list[str]) -> None:
    with pytest.raises(EngineError, match="The pair's command says"):
        refuse_command(SETTINGS, words)


def test_a_harmless_command_is_not() -> None:
    refuse_command(
        SETTINGS,
        ["vllm", "serve", "m", "--speculative-config", '{"rejection_sample_method": "standard"}', "--port", "1"],
    )
    refuse_command(SETTINGS, ["x", "--speculative-accept-threshold-single", "1.0", "--spec-type", "draft-simple"])


def test_a_file_of_options_in_a_command_is_read(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("speculative_config:\n  decoding_type: MTP\n  use_relaxed_acceptance_for_thinking: true\n")
    with pytest.raises(EngineError, match="use_relaxed_acceptance_for_thinking = true"):
        refuse_command(SETTINGS, ["trtllm-serve", "m", "--extra_llm_api_options", str(file)])


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("SGLANG_SIMULATE_ACC_LEN", "3", True),
        ("SGLANG_SIMULATE_ACC_LEN", "-1", False),
        ("SGLANG_SIMULATE_ACC_LEN", "", False),
        ("TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS", "2", True),
        ("TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS", "0", False),
        ("LLAMA_ARG_SPEC_SYNTH_RATES", "0.9", True),
    ],
)
def test_a_variable_that_the_engine_would_inherit(
    name: str, value: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    if not refused:
        refuse_environment("X", SETTINGS)
        return
    with pytest.raises(EngineError, match=rf"X would inherit {name} = {value}.*Unset it"):
        refuse_environment("X", SETTINGS)


def test_what_a_server_prints_is_believed() -> None:
    refuse_printed("SGLang", SETTINGS, "server_args=ServerArgs(speculative_accept_threshold_single=1.0, tp=1)")
    with pytest.raises(EngineError, match="The SGLang server says it runs with speculative_accept_threshold_single"):
        refuse_printed("SGLang", SETTINGS, "server_args=ServerArgs(speculative_accept_threshold_single=0.5, tp=1)")
    with pytest.raises(EngineError, match="The vLLM server says it runs with rejection_sample_method = synthetic"):
        refuse_printed(
            "vLLM", SETTINGS, "non-default args: {'speculative_config': {'rejection_sample_method': 'synthetic'}}"
        )


def test_a_server_of_ours_that_says_so_is_refused_once_it_is_ready(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "serve.sh"
    script.write_text(f"echo 'init: synth_len = 3.0'\nexec python3 -m http.server {port} --bind 127.0.0.1\n")

    async def started() -> None:
        command = ["/bin/sh", str(script)]
        server = OwnServer.start(command, port=port, kind="llama.cpp", root_cause=lambda _: "", lossy=LLAMACPP)
        client = ServerClient(server.url, None, kind="any", key_variable="KEY")
        try:
            await server.wait_until_ready(client)
        finally:
            await client.close()
            await server.process.stop()

    with pytest.raises(EngineError, match=r"says it runs with synth_len = 3\.0, which makes acceptance up"):
        asyncio.run(started())


def test_the_openai_engine_checks_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = replace(PAIR, command="python -m x --port {port}")
    openai.check(pair)
    with pytest.raises(EngineError, match="spec-synth-len = 3"):
        openai.check(replace(PAIR, command="python -m x --port {port} --spec-synth-len 3"))
    monkeypatch.setenv("SGLANG_SIMULATE_ACC_LEN", "3")
    with pytest.raises(EngineError, match="would inherit SGLANG_SIMULATE_ACC_LEN"):
        openai.check(pair)
    openai.check(replace(PAIR, endpoint="http://localhost:8000"))
