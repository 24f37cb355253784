"""Which of a server's models is asked, under which name it is counted, and whether it fits the pair's."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.config import EngineArg
from pytest_speedbench.engines import llamacpp, openai, sglang_serve, vllm_serve
from pytest_speedbench.engines.base import EngineInfo, SpeculationCounters
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER, Checkpoint, open_checkpoint
from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.engines.http.served import ServedModel, served_model
from pytest_speedbench.engines.served_fit import check_model
from pytest_speedbench.errors import EngineError
from tests.mock_server import MockServer, serving
from tests.unit.engines.test_openai_engine import pair, started
from tests.unit.engines.test_vllm_serve_prometheus import scrape

TARGET = open_checkpoint("bundled:target", download=True)
BASE = {"id": "org/model", "owned_by": "vllm", "root": "/srv/llama", "max_model_len": 2048}
ALIASES = [{**BASE, "id": name} for name in ("prod-llama", "llama")]
ADAPTED = [BASE, {**BASE, "id": "sql-lora", "root": "/adapters/sql", "parent": "org/model"}]


def server_of(cards: list[dict[str, Any]], counted: str = "org/model") -> MockServer:
    metrics = scrape((10, 30, (8, 5, 2)), model=counted)
    return MockServer(pages={"/v1/models": json.dumps({"data": cards}), "/metrics": metrics})


async def asked_at(server: MockServer, **args: EngineArg) -> tuple[EngineInfo, SpeculationCounters | None, str]:
    async with serving(server), started(pair(server.url, args=args)) as (engine, info):
        return info, await engine.counters(), server.asked[-1]["model"]


async def chosen(server: MockServer, wanted: str, name: str | None = None) -> ServedModel:
    async with serving(server):
        client = ServerClient(server.url, None, kind="any", key_variable="KEY")
        try:
            return await served_model(client, wanted, name)
        finally:
            await client.close()


def test_several_names_need_one_to_be_named() -> None:
    with pytest.raises(EngineError, match=r"its models: prod-llama, llama.*engine argument served_model_name"):
        asyncio.run(asked_at(server_of(ALIASES)))
    with pytest.raises(EngineError, match="does not serve 'lama'; its models: prod-llama, llama"):
        asyncio.run(asked_at(server_of(ALIASES), served_model_name="lama"))


def test_the_named_one_is_asked_recorded_and_counted_under_its_models_first_name() -> None:
    info, counters, model = asyncio.run(asked_at(server_of(ALIASES, "prod-llama"), served_model_name="llama"))
    assert model == "llama"
    assert info.args["served_model_name"] == "llama"
    assert counters is not None


def test_an_adapter_beside_its_base_is_counted_as_its_base() -> None:
    _, counters, model = asyncio.run(asked_at(server_of(ADAPTED), served_model_name="sql-lora"))
    assert model == "sql-lora"
    assert counters is not None
    assert asyncio.run(chosen(server_of(ADAPTED), "x")).name == "org/model"
    assert asyncio.run(chosen(server_of(ADAPTED), "x", "sql-lora")).counted_as == ("sql-lora", "org/model")


def test_another_models_counters_are_nobodys() -> None:
    assert asyncio.run(asked_at(server_of(ADAPTED, "stranger"), served_model_name="sql-lora"))[1] is None


@pytest.mark.parametrize("engine", [openai, vllm_serve, sglang_serve, llamacpp])
def test_every_server_that_runs_already_takes_the_name(engine: Any) -> None:
    behind = replace(pair("http://localhost:1", args={"served_model_name": "llama"}))
    engine.check(behind)
    with pytest.raises(EngineError):
        engine.check(pair("http://localhost:1", args={"served_model_name": "llama", "max_num_seqs": 3}))


def test_a_name_is_a_text() -> None:
    with pytest.raises(EngineError, match="served_model_name is 3"):
        asyncio.run(asked_at(server_of(ALIASES), served_model_name=3))


def checked(model: ServedModel, wanted: str = "meta/Llama-8B", checkpoint: Checkpoint = TARGET) -> None:
    check_model(model, checkpoint, wanted, "http://host")


def test_longer_sequences_than_the_config_allows_are_another_models() -> None:
    checked(ServedModel("m", 2048, owner="vllm"))
    checked(ServedModel("m", 9999, owner="llamacpp"))
    with pytest.raises(EngineError, match=r"sequences of up to 9999 tokens, and the config\.json .* allows 2048"):
        checked(ServedModel("m", 9999, owner="vllm"))
    stretched = replace(TARGET, config={**TARGET.config, "rope_scaling": {"rope_type": "yarn", "factor": 4}})
    checked(ServedModel("m", 8192, owner="vllm"), checkpoint=stretched)


def test_an_adapters_own_origin_is_not_held_against_it() -> None:
    checked(ServedModel("other/lora", 2048, None, "other/lora", "vllm", "meta/llama-8b"))
    with pytest.raises(EngineError, match="the pair's model is"):
        checked(ServedModel("other/lora", 2048, None, "other/lora", "vllm", "org/qwen"))


def test_a_folder_of_this_machine_is_looked_into(tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    for folder in (same, other):
        shutil.copytree(BUNDLED_FOLDER / "target", folder)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rope_theta": 5.0}))
    for origin in (str(same), str(BUNDLED_FOLDER / "target"), str(tmp_path / "gone"), "relative"):
        checked(ServedModel("m", 2048, None, origin, "vllm"))
    with pytest.raises(EngineError, match="the weights or the config there are not those of the pair's model"):
        checked(ServedModel("m", 2048, None, str(other), "vllm"))
