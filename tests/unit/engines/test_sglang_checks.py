"""What is said about a pair on SGLang before SGLang starts."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair
from pytest_speedbench.engines import installed as packages
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER, open_checkpoint
from pytest_speedbench.engines.sglang import check
from pytest_speedbench.engines.sglang.arguments import engine_arguments
from pytest_speedbench.engines.sglang.checks import check_pair
from pytest_speedbench.engines.sglang.failures import root_cause
from pytest_speedbench.engines.sglang.heads import layers_read
from pytest_speedbench.engines.sglang.repeats import Repeats
from pytest_speedbench.engines.sglang.resolved import concurrency, devices_used, resolved_arguments
from pytest_speedbench.errors import EngineError


def installed(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    known = {name.replace("_", "-"): version for name, version in found.items()}
    monkeypatch.setattr(packages, "installed", lambda *_: known)


@pytest.fixture(name="sglang")
def _sglang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, sglang="0.5.23", pytest_speedbench="0.1.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pair(drafter: str | None = "eagle3:bundled:eagle3", **args: EngineArg) -> Pair:
    return Pair("p", "sglang", "bundled:target", Drafter.parse(drafter) if drafter else None, args)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, r"SGLang is not installed\. Install it there, or name the interpreter that has it"),
        ({"sglang": "0.5.23"}, "pytest-speedbench is not installed. Install it beside SGLang"),
        ({"sglang": "0.5.19.post1", "pytest_speedbench": "1"}, r"SGLang 0\.5\.19\.post1 .* from 0\.5\.20 to 0\.5\.23"),
        ({"sglang": "0.6.0", "pytest_speedbench": "1"}, r"SGLang 0\.6\.0 is installed, which this adapter does not"),
        ({"sglang": "dev", "pytest_speedbench": "1"}, "has the version 'dev'"),
    ],
)
def test_an_unsupported_version_is_refused(monkeypatch: pytest.MonkeyPatch, found: dict[str, str], words: str) -> None:
    installed(monkeypatch, **found)
    with pytest.raises(EngineError, match=words):
        check(pair())


@pytest.mark.parametrize("version", ["0.5.20", "0.5.20.post1", "0.5.22rc1", "0.5.23+cpu"])
def test_every_build_of_a_known_release_will_do(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    installed(monkeypatch, sglang=version, pytest_speedbench="0.1.0")
    check(pair())


def test_this_interpreter_is_asked_without_importing_sglang() -> None:
    code = (
        "import sys; from pytest_speedbench.engines import sglang, sglang_serve; "
        "print({'torch', 'sglang', 'aiohttp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.usefixtures("sglang")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"model_path": "other"}, "The engine argument model_path is set by the pair's model"),
        ({"speculative_algorithm": "NGRAM"}, "speculative_algorithm is set by the pair's drafter"),
        ({"speculative_num_steps": 5}, "speculative_num_steps is set by the pair's draft length"),
        ({"speculative_num_draft_tokens": 4}, "is set by the pair's draft length.*ask for a tree"),
        ({"speculative_eagle_topk": 4}, r"A draft tree \(speculative_eagle_topk = 4\) of depth 3 has the size None"),
        ({"speculative_eagle_topk": 4, "speculative_num_draft_tokens": 3}, "of depth 3 has the size 3"),
    ],
)
def test_what_the_pair_says_is_not_said_again(args: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_pair(pair(**args))


@pytest.mark.usefixtures("sglang")
def test_drafters_that_sglang_lacks_are_refused() -> None:
    for name in ("medusa:bundled:eagle3", "suffix"):
        with pytest.raises(
            EngineError, match=rf"SGLang has no {name.partition(':')[0]} drafter. Choose one of: dflash"
        ):
            check_pair(pair(name))
    with pytest.raises(EngineError, match=r"ngram takes no speculative_eagle_topk.*speculative_ngram_max_bfs_breadth"):
        check_pair(pair("ngram", speculative_eagle_topk=4))


@pytest.mark.usefixtures("sglang")
def test_models_are_looked_at_before_the_start() -> None:
    with pytest.raises(EngineError, match="There is no bundled model 'bundled:eagle4'"):
        check_pair(pair("eagle3:bundled:eagle4"))
    with pytest.raises(EngineError, match="is no EAGLE-3 head"):
        check_pair(pair("eagle3:bundled:draft"))


@pytest.mark.usefixtures("sglang")
@pytest.mark.parametrize(
    ("drafter", "speculation"),
    [
        ("draft_model:bundled:draft", {"algorithm": "STANDALONE", "num_steps": 3, "eagle_topk": 1}),
        ("eagle:bundled:draft", {"algorithm": "EAGLE", "num_steps": 3, "eagle_topk": 1}),
        ("eagle3:bundled:eagle3", {"algorithm": "EAGLE3", "num_steps": 3, "eagle_topk": 1}),
        ("mtp", {"algorithm": "NEXTN", "num_steps": 3, "eagle_topk": 1}),
        ("ngram", {"algorithm": "NGRAM", "ngram_max_bfs_breadth": 1}),
        ("dflash:bundled:draft", {"algorithm": "DFLASH"}),
    ],
)
def test_drafters_in_sglangs_words(drafter: str, speculation: dict[str, Any]) -> None:
    found = engine_arguments(pair(drafter))
    said = {name.removeprefix("speculative_"): found[name] for name in found if name.startswith("speculative_")}
    assert ("draft_model_path" in said) == (":" in drafter)
    said.pop("draft_model_path", None)
    assert said == {**speculation, "num_draft_tokens": 4}


@pytest.mark.usefixtures("sglang")
def test_a_tree_is_asked_for_by_its_size() -> None:
    found = engine_arguments(pair(speculative_eagle_topk=4, speculative_num_draft_tokens=16))
    assert (found["speculative_num_steps"], found["speculative_eagle_topk"]) == (3, 4)
    assert found["speculative_num_draft_tokens"] == 16


@pytest.mark.usefixtures("sglang")
def test_the_target_alone_is_not_told_how_to_draft() -> None:
    alone = pair(None, speculative_eagle_topk=4, speculative_num_draft_tokens=16, tp_size=2)
    check_pair(alone)
    found = engine_arguments(alone)
    assert found["tp_size"] == 2
    assert not [name for name in found if name.startswith("speculative_")]


@pytest.mark.usefixtures("sglang")
def test_the_users_own_arguments_win() -> None:
    found = engine_arguments(pair(None))
    assert (found["disable_radix_cache"], found["random_seed"], found["skip_tokenizer_init"]) == (True, 0, True)
    own = engine_arguments(pair(None, disable_radix_cache=False, random_seed=7, tp_size=2))
    assert (own["disable_radix_cache"], own["random_seed"], own["tp_size"]) == (False, 7, 2)


def copied_head(folder: Path, **config: Any) -> str:
    shutil.copytree(BUNDLED_FOLDER / "eagle3", folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return str(folder)


@pytest.mark.usefixtures("sglang")
@pytest.mark.parametrize("name", ["eagle3", "eagle3-pruned"])
def test_a_bundled_head_is_given_in_sglangs_count(name: str) -> None:
    paths = {engine_arguments(pair(f"eagle3:bundled:{name}"))["speculative_draft_model_path"] for _ in range(2)}
    (folder,) = map(Path, paths)
    config = json.loads((folder / "config.json").read_text())
    ours = json.loads((BUNDLED_FOLDER / name / "config.json").read_text())
    assert config["eagle_config"].pop("eagle_aux_hidden_state_layer_ids") == [0, 1, 2]
    assert ours["eagle_config"].pop("eagle_aux_hidden_state_layer_ids") == [1, 2, 3]
    assert config == ours
    assert (folder / "model.safetensors").read_bytes() == (BUNDLED_FOLDER / name / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("sglang")
def test_a_head_of_ones_own_is_given_as_it_is(tmp_path: Path) -> None:
    head = copied_head(tmp_path / "h", eagle_config={"eagle_aux_hidden_state_layer_ids": [0, 1, 2]})
    assert engine_arguments(pair(f"eagle3:{head}"))["speculative_draft_model_path"] == head
    target = open_checkpoint("bundled:target", download=True)
    assert layers_read(open_checkpoint(head, download=True), target) == (1, 2, 3)


@pytest.mark.usefixtures("sglang")
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "has 4 layers, after 2, 3, 4 of them.*copy of it whose ids in eagle_config are one less"),
        ({"eagle_config": {"eagle_aux_hidden_state_layer_ids": [0, 1, 9]}}, "has 4 layers, after 1, 2, 10 of them"),
        ({"eagle_config": None}, "has 4 layers, after 2, 2, 1 of them"),
        (
            {"eagle_config": None, "eagle_aux_hidden_state_layer_ids": [1, 2, 3]},
            "at the top of its config.json, where SGLang does not look",
        ),
    ],
)
def test_a_head_that_would_read_other_layers_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_pair(pair(f"eagle3:{copied_head(tmp_path / 'head', **config)}"))


@pytest.mark.usefixtures("sglang")
def test_the_layers_that_are_read_are_recorded() -> None:
    given = engine_arguments(pair())
    assert resolved_arguments(given, given)["eagle3_reads_after_layers"] == [1, 2, 3]
    given = engine_arguments(pair("ngram"))
    assert "eagle3_reads_after_layers" not in resolved_arguments(given, given)


@pytest.mark.usefixtures("sglang")
def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineError, match=r"for SGLang cannot be written.*Set XDG_CACHE_HOME"):
        engine_arguments(pair())


def test_the_root_cause_is_the_schedulers() -> None:
    output = (
        "Scheduler hit an exception: Traceback (most recent call last):\n"
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (43x512 and 768x256)\n"
        "[2026-11-23 13:44:04] Pyspy failed (py-spy dump). Error: /bin/sh: 1: py-spy: not found\n"
        "RuntimeError: Rank 0 scheduler died during initialization (exit code: -9).\n"
    )
    assert root_cause(output) == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (43x512 and 768x256)"
    assert root_cause("UserWarning: Only CUDA is supported") == ""


def test_resolved_arguments_have_no_paths() -> None:
    resolved = {"dtype": "bfloat16", "tp_size": 2, "pp_size": 1, "dp_size": 4, "speculative_algorithm": "NGRAM"}
    given = {"model_path": "/m", "tp_size": 2, "skip_tokenizer_init": True, "my_own": 1}
    assert resolved_arguments(resolved, given) == {
        "my_own": 1,
        "dtype": "bfloat16",
        "tp_size": 2,
        "pp_size": 1,
        "dp_size": 4,
        "speculative_algorithm": "NGRAM",
    }
    assert devices_used(resolved) == 8
    assert devices_used({**resolved, "tp_size": 4, "enable_dp_attention": True}) == 4


def test_all_ranks_decode_together() -> None:
    one = {"effective_max_running_requests_per_dp": 48}
    assert concurrency([one, one]) == 96
    assert concurrency([one, {}]) is None
    assert concurrency([]) is None


def test_what_was_learnt_is_forgotten_before_a_prompt_comes_again() -> None:
    events: list[str] = []

    async def session() -> None:
        async def forget() -> None:
            events.append("forget")

        repeats = Repeats(forget)
        for _ in range(2):
            for prompt in ((1, 2), (3, 4)):
                async with repeats.asking(prompt):
                    events.append(str(prompt[0]))
        async with repeats.asking((5, 6)), repeats.asking((1, 2)):
            events.append("5 and 1")  # a request under way is not disturbed

    asyncio.run(session())
    assert events == ["1", "3", "forget", "1", "3", "5 and 1"]
