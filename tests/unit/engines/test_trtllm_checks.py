"""What is said about a pair on TensorRT-LLM before TensorRT-LLM starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair
from pytest_speedbench.engines import installed as packages
from pytest_speedbench.engines.trtllm import check, gpu
from pytest_speedbench.engines.trtllm.arguments import check_arguments, engine_arguments
from pytest_speedbench.engines.trtllm.checks import check_pair
from pytest_speedbench.engines.trtllm.failures import root_cause
from pytest_speedbench.engines.trtllm.mpi import check_one_reporter
from pytest_speedbench.engines.trtllm.speculation import decoding_fields, one_model, tree_tokens, varies
from pytest_speedbench.errors import EngineError

MEDUSA = Path(__file__).resolve().parents[2] / "data" / "medusa"


def installed(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    known = {name.replace("speed", "-speed"): version for name, version in found.items()}
    monkeypatch.setattr(packages, "installed", lambda *_: known)


@pytest.fixture(name="trtllm")
def _trtllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, tensorrt_llm="1.2.1", pytestspeedbench="0.1.0")
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path,))
    monkeypatch.setattr(gpu, "GPU_FOLDER", tmp_path / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)


def pair(drafter: str | None = "eagle3:bundled:eagle3", draft_length: int = 3, **args: EngineArg) -> Pair:
    parsed = Drafter.parse(drafter, draft_length) if drafter else None
    return Pair("p", "trtllm", "bundled:target", parsed, args)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, r"TensorRT-LLM is not installed\. Install it there, or name the interpreter that has it"),
        ({"tensorrt_llm": "1.2.0"}, "pytest-speedbench is not installed. Install it beside TensorRT-LLM"),
        ({"tensorrt_llm": "0.21.0", "pytestspeedbench": "1"}, r"TensorRT-LLM 0\.21\.0 is installed.*from 1\.0 to 1\.2"),
        ({"tensorrt_llm": "1.3.0rc4", "pytestspeedbench": "1"}, r"TensorRT-LLM 1\.3\.0rc4 is installed, which this"),
        ({"tensorrt_llm": "dev", "pytestspeedbench": "1"}, "has the version 'dev'"),
    ],
)
def test_an_unsupported_version_is_refused(monkeypatch: pytest.MonkeyPatch, found: dict[str, str], words: str) -> None:
    installed(monkeypatch, **found)
    with pytest.raises(EngineError, match=words):
        check(pair())


@pytest.mark.usefixtures("trtllm")
def test_a_machine_without_a_gpu_is_refused_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check(pair())
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path / "none",))
    with pytest.raises(EngineError, match="needs an NVIDIA GPU, and this machine has no NVIDIA driver"):
        check(pair())


@pytest.mark.usefixtures("trtllm")
def test_too_few_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"The pair 'p' needs 2 GPUs .*, and 1 can be seen"):
        check(pair(tensor_parallel_size=2))
    check(pair(tensor_parallel_size=16, gpus_per_node=8))  # several machines
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    check(pair(tensor_parallel_size=3))
    with pytest.raises(EngineError, match=r"needs 6 GPUs .*, and 3 can be seen"):
        check(pair(tensor_parallel_size=3, pipeline_parallel_size=2))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(EngineError, match="CUDA_VISIBLE_DEVICES hides them all"):
        check(pair())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(gpu, "GPU_FOLDER", tmp_path / "none")
    check(pair(tensor_parallel_size=64))  # how many there are is not known


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from pytest_speedbench.engines import trtllm, trtllm_serve; "
        "print({'torch', 'tensorrt_llm', 'aiohttp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "4"}, "pytest runs on all 4 ranks of an MPI job"),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, "pytest runs on rank 3 of an MPI job, and only"),
        ({"SLURM_PROCID": "1"}, "rank 1 of an MPI job.*mpirun -n RANKS trtllm-llmapi-launch pytest"),
        ({"PMI_RANK": "2"}, "rank 2"),
    ],
)
def test_one_rank_reports(environment: dict[str, str], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_one_reporter(environment)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"},
        {"TLLM_SPAWN_PROXY_PROCESS": "1", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "0"},
    ],
)
def test_a_single_process_and_the_launchers_own_may_run(environment: dict[str, str]) -> None:
    check_one_reporter(environment)


@pytest.mark.usefixtures("trtllm")
@pytest.mark.parametrize(
    ("drafter", "args", "words"),
    [
        ("ngram", {"model": "other"}, "The engine argument model is set by the pair's model"),
        ("ngram", {"speculative_config": {"decoding_type": "MTP"}}, "decoding_type is set by the pair's drafter"),
        ("ngram", {"speculative_config": {"max_draft_len": 5}}, "max_draft_len is set by the pair's draft length"),
        ("mtp", {"speculative_config": {"num_nextn_predict_layers": 1}}, "is set by the pair's draft length"),
        ("ngram", {"speculative_config": "NGram"}, "speculative_config is 'NGram'"),
        (None, {"speculative_config": {"max_concurrency": 5}}, "There is a speculative_config but no drafter"),
        ("ngram", {"backend": "onnx"}, "The engine argument backend is 'onnx'"),
        ("ngram", {"kv_cache_config": 3}, "The engine argument kv_cache_config is 3"),
        (
            "suffix",
            {},
            "TensorRT-LLM has no suffix drafter. Choose one of: draft_model, eagle, eagle3, medusa, mtp, ngram",
        ),
        (f"medusa:{MEDUSA}", {}, "drafts with medusa on its backend tensorrt only, and the pair's is pytorch"),
        ("eagle:bundled:draft", {}, "eagle on its backend tensorrt only.*For an EAGLE-3 head write eagle3:MODEL"),
        ("ngram", {"backend": "trt"}, "ngram on its backend pytorch only, and the pair's is tensorrt"),
    ],
)
def test_arguments_that_contradict_the_pair_are_refused(drafter: str | None, args: dict[str, Any], words: str) -> None:
    measured = pair(drafter, **args)
    with pytest.raises(EngineError, match=words):
        engine_arguments(measured, (1, 2))


@pytest.mark.usefixtures("trtllm")
def test_models_are_looked_at_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There is no bundled model 'bundled:eagle4'"):
        check_pair(pair("eagle3:bundled:eagle4"))
    with pytest.raises(EngineError, match="is no EAGLE-3 head"):
        check_pair(pair("eagle3:bundled:draft"))
    with pytest.raises(EngineError, match="has 3 heads, and the pair asks for a draft length of 4"):
        check_pair(pair(f"medusa:{MEDUSA}", 4, backend="tensorrt"))
    (tmp_path / "model.safetensors").touch()
    small = {"architectures": ["LlamaForCausalLM"], "vocab_size": 77, "draft_vocab_size": 8}
    (tmp_path / "config.json").write_text(json.dumps(small))
    with pytest.raises(EngineError, match="has a vocabulary of 77 tokens"):
        check_pair(pair(f"eagle3:{tmp_path}"))


def test_a_head_that_is_called_a_llama_is_known_by_its_draft_vocabulary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, tensorrt_llm="1.0.0", pytestspeedbench="1")
    (tmp_path / "model.safetensors").touch()
    named = {"architectures": ["LlamaForCausalLM"], "draft_vocab_size": 1024}
    (tmp_path / "config.json").write_text(json.dumps(named))
    check_pair(pair(f"eagle3:{tmp_path}"))


def test_the_users_arguments_win_except_over_the_pair() -> None:
    measured = pair("ngram", max_batch_size=4, kv_cache_config={"free_gpu_memory_fraction": 0.5})
    found = engine_arguments(measured, (1, 2))
    assert found.pop("model").endswith("target")
    assert found == {
        "enable_iter_perf_stats": True,
        "disable_overlap_scheduler": True,
        "max_batch_size": 4,
        "kv_cache_config": {"enable_block_reuse": False, "free_gpu_memory_fraction": 0.5},
    }
    own = engine_arguments(
        pair("ngram", disable_overlap_scheduler=False, kv_cache_config={"enable_block_reuse": True}), (1, 2)
    )
    assert (own["disable_overlap_scheduler"], own["kv_cache_config"]) == (False, {"enable_block_reuse": True})


def test_iterations_are_counted_alike_with_and_without_a_drafter() -> None:
    for measured in (pair(None), pair("mtp")):
        assert engine_arguments(measured, (1, 2))["enable_iter_perf_stats"] is True
        assert engine_arguments(measured, (1, 1))["enable_iter_perf_stats"] is False


def test_every_drafter_has_its_fields() -> None:
    assert decoding_fields(pair("ngram", 5), (1, 0)) == {
        "max_draft_len": 5,
        "max_matching_ngram_size": 3,
        "is_public_pool": False,
    }
    assert decoding_fields(pair("mtp", 2), (1, 0)) == {"num_nextn_predict_layers": 2}
    medusa = decoding_fields(pair(f"medusa:{MEDUSA}", 2, backend="tensorrt"), (1, 1))
    assert (medusa["medusa_choices"], medusa["num_medusa_heads"], medusa["max_draft_len"]) == ([[0], [0, 0]], 2, 2)
    own = decoding_fields(pair("ngram", speculative_config={"is_public_pool": True, "is_keep_all": False}), (1, 0))
    assert (own["is_public_pool"], own["is_keep_all"]) == (True, False)


def test_a_bundled_head_is_told_the_layers_that_it_reads() -> None:
    found = decoding_fields(pair(), (1, 2))
    config = json.loads((Path(found["speculative_model_dir"]) / "config.json").read_text())
    ids = config["eagle_config"]["eagle_aux_hidden_state_layer_ids"]
    assert found["eagle3_layers_to_capture"] == [layer - 1 for layer in ids]
    own = decoding_fields(pair(speculative_config={"eagle3_layers_to_capture": [0, 1, 2]}), (1, 2))
    assert own["eagle3_layers_to_capture"] == [0, 1, 2]
    with pytest.raises(EngineError, match=r"TensorRT-LLM 1\.1 cannot be told which layers the head 'bundled:eagle3'"):
        decoding_fields(pair(), (1, 1))


@pytest.mark.parametrize(
    ("speculation", "tokens", "varying"),
    [
        ({}, None, False),
        ({"eagle_choices": [[0], [0, 0], [0, 0, 0]]}, None, False),
        ({"eagle_choices": [[0], [1], [0, 0], [0, 1], [0, 0, 0]]}, 5, False),
        ({"eagle_choices": "[[0], [1], [0, 0], [0, 0, 0]]"}, 4, False),
        ({"use_dynamic_tree": True, "dynamic_tree_max_topK": 4, "max_total_draft_tokens": 12}, 12, True),
        ({"draft_len_schedule": {"1": 3, "8": 0}}, None, True),
    ],
)
def test_trees_and_schedules_are_read_off_the_arguments(
    speculation: dict[str, Any], tokens: int | None, varying: bool
) -> None:
    measured = pair(speculative_config=speculation)
    check_arguments(measured)
    assert (tree_tokens(measured), varies(measured)) == (tokens, varying)


@pytest.mark.parametrize(
    ("speculation", "words"),
    [
        ({"eagle_choices": [[0], [0, 0]]}, "The tree in eagle_choices is 2 deep, and the pair's draft length is 3"),
        ({"eagle_choices": "no tree"}, "The eagle_choices are 'no tree'"),
        ({"use_dynamic_tree": True, "dynamic_tree_max_topK": 4}, "has the max_total_draft_tokens None"),
        ({"use_dynamic_tree": True, "max_total_draft_tokens": 12}, "and the dynamic_tree_max_topK None"),
    ],
)
def test_a_tree_that_is_none_is_refused(speculation: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_arguments(pair(speculative_config=speculation))


def test_which_drafters_are_inside_the_target() -> None:
    assert [one_model(pair(name)) for name in ("eagle3:bundled:eagle3", "mtp", "ngram", None)] == [
        True,
        True,
        False,
        False,
    ]
    assert not one_model(pair(speculative_config={"eagle3_one_model": False}))


def test_the_cause_is_found_above_its_consequences() -> None:
    output = """
[rank 0] loading
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB.
RuntimeError: Executor worker returned error
[TRT-LLM] [E] Failed to parse the arguments for the LLM constructor: ValueError: x
"""
    assert root_cause(output) == "OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB."
    assert root_cause("all is well") == ""
